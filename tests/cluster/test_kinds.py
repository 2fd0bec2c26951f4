"""StatefulSet, DaemonSet and CronJob against their real controllers: each is told of and rolled as what it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from lab.rest import Object, path
from tests.kit import objects
from tests.kit.shop import ROLLOUT, Shop, env_of, record_of, template_of

from .test_endpoints import by_hand
from .test_lifecycle import MAX_AGE, TARGET, target

pytestmark = pytest.mark.cluster

KINDS = ("StatefulSet", "DaemonSet", "CronJob")
ON_DELETE = {"updateStrategy": {"type": "OnDelete"}}
SERVER, CLIENT = {"grpcbalance.dev/server": "orders"}, {"grpcbalance.dev/client": "orders"}


def without_pods(kind: str, name: str, **more: Any) -> Object:
    """A workload of a kind that makes no pods."""
    pod = {"nodeSelector": {"no": "node"}} if kind == "DaemonSet" else {}
    return objects.as_kind(kind, objects.idle(name, pod={**pod, **more.pop("pod", {})}, **more))


def running(kind: str, replicas: int, **spec: Any) -> Object:
    """Servers of `orders` with real pods, which count as available after two seconds."""
    return objects.as_kind(kind, objects.server(replicas=replicas, spec={"minReadySeconds": 2}), **spec)


def pods(shop: Shop, name: str = "orders") -> dict[str, Object]:
    """Pods of a workload by their uid, those on their way out too."""
    return {pod["metadata"]["uid"]: pod for pod in shop.api.items(shop.url("Pod"), f"app={name}")}


def ages(shop: Shop) -> set[str | None]:
    """The maximum age in the pods of `orders`; None stands for a pod without."""
    return {env_of(pod).get(MAX_AGE) for pod in pods(shop).values()}


def is_up(kind: str) -> Callable[[Object], bool]:
    """Whether all pods of a StatefulSet or DaemonSet are there and available."""
    wanted, available = (
        ("desiredNumberScheduled", "numberAvailable") if kind == "DaemonSet" else ("replicas", "availableReplicas")
    )

    def accept(found: Object) -> bool:
        status = found.get("status", {})
        seen = status.get("observedGeneration") == found["metadata"]["generation"]
        count = found["spec"].get("replicas", status.get(wanted))
        return bool(seen and count and status.get(wanted) == status.get(available) == count)

    return accept


def start(shop: Shop, made: Object) -> Object:
    """Create the object and running servers, not annotated yet; answers with the servers' pod template."""
    shop.create(objects.balanced(), made)
    kind, name = made["kind"], made["metadata"]["name"]
    return template_of(shop.wait_object(kind, name, is_up(kind), f"{kind} {name} is up", ROLLOUT))


def told(shop: Shop, workload: str, last: str) -> list[str]:
    """What status says of a workload, one reason after the other, until it says `last`."""
    seen: list[str] = []

    def accept(balanced: Object) -> bool:
        listed = balanced.get("status", {}).get("workloads", [])
        reason = next((entry["reason"] for entry in listed if entry["name"] == workload), None)
        if reason is not None and seen[-1:] != [reason]:
            seen.append(reason)
        return reason == last

    shop.wait_balanced(accept, f"{workload} is {last}; so far {seen}", within=ROLLOUT)
    return seen


def delete_pod(shop: Shop, uid: str) -> None:
    """Delete a pod as a person does, and wait until it is gone; a StatefulSet's next one has the same name."""
    name = pods(shop)[uid]["metadata"]["name"]
    shop.delete("Pod", name)
    shop.api.wait(
        shop.url("Pod", name), lambda p: p["metadata"]["uid"] != uid, within=60, what=f"{name} gone", missing=True
    )


def opt_out(shop: Shop, kind: str, name: str, role: str, template: Object) -> None:
    """Take the annotation away; the pod template must be what it was."""
    variable = MAX_AGE if role == "server" else TARGET
    shop.annotate(name, kind, **{role: None})
    assert template_of(shop.wait_env(name, variable, None, kind=kind)) == template
    shop.wait_condition(f"{role.title()}sConfigured", "False", "NoneAnnotated")


@pytest.mark.parametrize(
    ("kind", "role"),
    [("StatefulSet", "server"), ("DaemonSet", "server"), *((kind, "client") for kind in KINDS)],
)
def test_values_come_with_their_record_and_go_without_a_trace(shop: Shop, kind: str, role: str) -> None:
    name = "orders" if role == "server" else "checkout"
    made = without_pods(kind, name, ports=(5000,) if role == "server" else ())
    shop.create(by_hand("ready", ["10.210.0.1"], ready=True), objects.balanced(), made)
    if role == "client":
        shop.create(objects.idle("orders", ports=(5000,), annotations=SERVER))
    before = template_of(shop.get(kind, name))
    shop.annotate(name, kind, **{role: "orders"})
    shop.wait_condition(f"{role.title()}sConfigured", "True", "Configured")
    after = shop.get(kind, name)
    listed = shop.wait_workload(name, "Configured")
    assert (listed["kind"], listed["role"], listed["containers"]) == (kind, role.title(), ["app"])
    injected = set(env_of(after)) - set(env_of({"spec": before["spec"]}))
    assert (MAX_AGE if role == "server" else TARGET) in injected
    assert set(record_of(after)["app"]) == injected
    opt_out(shop, kind, name, role, before)


@pytest.mark.parametrize("kind", KINDS)
def test_init_containers_and_native_sidecars_are_left_alone(shop: Shop, kind: str) -> None:
    plain = {"name": "migrate", "image": "example.invalid/migrate:1"}
    sidecar = {"name": "proxy", "image": "example.invalid/proxy:1", "restartPolicy": "Always"}
    ports = {"ports": [{"containerPort": 5000}]}
    made = without_pods(kind, "orders", ports=(5000,), pod={"initContainers": [plain, sidecar | ports]})
    shop.create(made, objects.balanced())
    before = template_of(shop.get(kind, "orders"))
    shop.annotate("orders", kind, server="orders")
    after = template_of(shop.wait_env("orders", MAX_AGE, "300000", kind=kind))
    assert after["spec"]["initContainers"] == before["spec"]["initContainers"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_workload_of_another_controller_is_refused(shop: Shop, kind: str) -> None:
    shop.create(objects.cluster_ip("owner"))
    owner = {"apiVersion": "v1", "kind": "Service", "name": "owner", "controller": True}
    made = without_pods(kind, "orders", ports=(5000,), annotations=SERVER)
    made["metadata"]["ownerReferences"] = [owner | {"uid": shop.get("Service", "owner")["metadata"]["uid"]}]
    shop.create(made, objects.balanced())
    assert "Service owner" in shop.wait_workload("orders", "Controlled")["message"]
    shop.wait_event("orders", "Controlled")
    assert MAX_AGE not in shop.env("orders", kind=kind)


# Longer in all than the operator keeps to itself what is about to change.
@pytest.mark.parametrize(("kind", "replicas", "seconds"), [("StatefulSet", 2, 2), ("DaemonSet", 1, 5)])
def test_a_rolling_update_is_configured_when_every_pod_has_the_values(
    shop: Shop, kind: str, replicas: int, seconds: int
) -> None:
    before = start(shop, running(kind, replicas, minReadySeconds=seconds))
    old = set(pods(shop))
    shop.annotate("orders", kind, server="orders")
    assert told(shop, "orders", "Configured")[-2:] == ["RollingOut", "Configured"]
    assert ages(shop) == {"300000"}
    shop.wait_condition("ServersConfigured", "True", "Configured")
    assert len(pods(shop)) == len(old) == replicas
    revisions = shop.api.items(shop.url("ControllerRevision"), "app=orders")
    assert len(revisions) == 2, "the pods were rolled once"
    opt_out(shop, kind, "orders", "server", before)
    shop.wait_object(kind, "orders", lambda _: ages(shop) == {None}, "the pods are without our values", ROLLOUT)


@pytest.mark.parametrize(("kind", "replicas"), [("StatefulSet", 2), ("DaemonSet", 1)])
def test_on_delete_waits_for_people(shop: Shop, kind: str, replicas: int) -> None:
    before = start(shop, running(kind, replicas, **ON_DELETE))
    old = set(pods(shop))
    shop.annotate("orders", kind, server="orders")
    assert "Configured" not in told(shop, "orders", "OnDelete")
    shop.wait_condition("ServersConfigured", "False", "OnDelete")
    shop.wait_env("orders", MAX_AGE, "300000", kind=kind)
    assert set(pods(shop)) == old
    for uid in sorted(old):
        assert shop.wait_workload("orders", "OnDelete")["state"] == "Pending"
        delete_pod(shop, uid)
    shop.wait_condition("ServersConfigured", "True", "Configured", within=ROLLOUT)
    # It is told as soon as no old pod is left, be the last new one there or not.
    shop.wait_object(kind, "orders", is_up(kind), f"{kind} orders is up", ROLLOUT)
    assert ages(shop) == {"300000"}
    new = set(pods(shop))
    assert len(new) == replicas
    opt_out(shop, kind, "orders", "server", before)
    assert set(pods(shop)) == new


def test_a_partition_waits_for_people_with_the_pods_below_it(shop: Shop) -> None:
    partition = {"updateStrategy": {"rollingUpdate": {"partition": 1}}}
    start(shop, running("StatefulSet", 2, **partition))
    shop.annotate("orders", "StatefulSet", server="orders")
    assert "Configured" not in told(shop, "orders", "OnDelete")
    found = {pod["metadata"]["name"]: env_of(pod).get(MAX_AGE) for pod in pods(shop).values()}
    assert found["orders-0"] is None
    shop.wait_object("StatefulSet", "orders", is_up("StatefulSet"), "the pod above the partition is replaced", ROLLOUT)
    assert ages(shop) == {None, "300000"}
    shop.merge("StatefulSet", "orders", {"spec": {"updateStrategy": {"rollingUpdate": {"partition": 0}}}})
    shop.wait_condition("ServersConfigured", "True", "Configured", within=ROLLOUT)
    assert ages(shop) == {"300000"}


def test_a_cron_job_changes_with_its_next_job(shop: Shop) -> None:
    shop.create(
        by_hand("ready", ["10.210.0.1"], ready=True),
        objects.balanced(),
        objects.idle("orders", ports=(5000,), annotations=SERVER),
        objects.as_kind("CronJob", objects.idle("checkout")),
    )
    shop.kubectl("create", "job", "before", "--from=cronjob/checkout")
    shop.wait_object("Job", "before", lambda j: j.get("status", {}).get("ready", 0) == 1, "the Job runs", ROLLOUT)
    old = set(pods(shop, "checkout"))
    shop.annotate("checkout", "CronJob", client="orders")
    shop.wait_configured()
    shop.kubectl("create", "job", "after", "--from=cronjob/checkout")
    assert env_of(shop.get("Job", "after"))[TARGET] == target(shop)
    assert record_of(shop.get("Job", "after")) == record_of(shop.get("CronJob", "checkout"))
    shop.wait_object("Job", "after", lambda j: j.get("status", {}).get("ready", 0) == 1, "the Job runs", ROLLOUT)
    assert [TARGET in env_of(pod) for uid, pod in pods(shop, "checkout").items() if uid in old] == [False]
    assert TARGET not in env_of(shop.get("Job", "before"))


@pytest.mark.full
@pytest.mark.parametrize("kind", ["StatefulSet", "DaemonSet"])
def test_rollout_undo_of_a_client_is_brought_back(shop: Shop, kind: str) -> None:
    shop.create(
        by_hand("ready", ["10.210.0.1"], ready=True),
        objects.idle("orders", ports=(5000,), annotations=SERVER),
        objects.balanced(),
        without_pods(kind, "checkout"),
    )
    undo(shop, kind, "checkout", "client", TARGET)
    shop.annotate("checkout", kind, paused=None)
    shop.wait_env("checkout", TARGET, target(shop), kind=kind)
    shop.wait_condition("ClientsConfigured")
    assert set(record_of(shop.get(kind, "checkout"))["app"]) >= {TARGET}


@pytest.mark.full
@pytest.mark.parametrize("kind", ["StatefulSet", "DaemonSet"])
def test_rollout_undo_of_a_server_is_held_and_then_brought_back(shop: Shop, kind: str) -> None:
    start(shop, running(kind, 1))
    undo(shop, kind, "orders", "server", MAX_AGE)
    shop.create(objects.idle("checkout", env=[{"name": "T", "value": target(shop)}]))
    shop.annotate("orders", kind, paused=None)
    shop.wait_condition("ServersConfigured", "False", "UnsafeRollout", within=ROLLOUT)
    assert MAX_AGE not in shop.env("orders", kind=kind)
    shop.merge("GrpcBalancedService", "orders", {"spec": {"rollout": {"allowUnsafe": True}}})
    shop.wait_condition("ServersConfigured", "True", "Configured", within=ROLLOUT)
    assert None not in ages(shop)
    shop.wait_object(kind, "orders", is_up(kind), "the pods are up", ROLLOUT)
    assert ages(shop) == {"300000"}


def undo(shop: Shop, kind: str, name: str, role: str, variable: str) -> None:
    """Opt in, then pause and `kubectl rollout undo`: env and record must go together, and stay away."""
    history = path("apps/v1", "controllerrevisions", shop.namespace)
    before = template_of(shop.wait_object(kind, name, observed, f"the controller has seen {kind} {name}"))
    assert len(shop.api.items(history, f"app={name}")) == 1
    shop.annotate(name, kind, **{role: "orders"})
    shop.wait_condition(f"{role.title()}sConfigured", "True", "Configured", within=ROLLOUT)
    assert set(record_of(shop.get(kind, name))) == {"app"}
    shop.annotate(name, kind, paused="true")
    shop.kubectl("rollout", "undo", f"{kind.lower()}/{name}")
    undone = shop.get(kind, name)
    assert (variable in env_of(undone), record_of(undone)) == (False, {})
    assert template_of(undone) == before
    shop.wait_workload(name, "Paused")


def observed(found: Object) -> bool:
    """Whether the controller has seen the newest spec."""
    return bool(found.get("status", {}).get("observedGeneration") == found["metadata"]["generation"])
