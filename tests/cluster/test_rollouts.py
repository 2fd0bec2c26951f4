"""Restarts are a decision: what waits, what is held, what is brought back, and what is never rolled."""

from __future__ import annotations

import pytest
import yaml

from lab.install import condition
from tests.kit import objects
from tests.kit.shop import ROLLOUT, Shop

from .test_lifecycle import MAX_AGE, TARGET, opted_in, target

pytestmark = pytest.mark.cluster

SAFE = {"minReadySeconds": 35}


def test_client_waits_for_a_ready_endpoint(shop: Shop) -> None:
    shop.create(
        objects.balanced(),
        objects.server(replicas=0, annotations={"grpcbalance.dev/server": "orders"}),
        objects.client(annotations={"grpcbalance.dev/client": "orders"}),
    )
    shop.wait_condition("ServersConfigured")
    shop.wait_workload("checkout", "TargetNotServing")
    shop.wait_event("checkout", "TargetNotServing")
    assert TARGET not in shop.env("checkout")
    shop.kubectl("scale", "deployment/orders", "--replicas=1")
    shop.wait_configured()
    assert shop.env("checkout")[TARGET] == target(shop)


def test_wrong_port_rolls_no_client(shop: Shop) -> None:
    shop.create(
        objects.balanced(port=6000),
        objects.server(annotations={"grpcbalance.dev/server": "orders"}),
        objects.client(annotations={"grpcbalance.dev/client": "orders"}),
    )
    balanced = shop.wait_condition("Accepted", "False", "PortNotDeclared")
    assert "containerPort 6000" in condition(balanced, "Accepted")["message"]
    shop.wait_workload("checkout", "NotAccepted")
    shop.wait_rolled_out("checkout", "orders")
    assert (shop.revision("checkout"), shop.revision("orders")) == (1, 1)


def test_nobody_vouches_for_the_port_without_an_annotated_server(shop: Shop) -> None:
    shop.create(objects.balanced(), objects.server(), objects.client(annotations={"grpcbalance.dev/client": "orders"}))
    shop.wait_workload("checkout", "PortNotConfirmed")
    shop.wait_condition("EndpointsReady", within=60)
    assert TARGET not in shop.env("checkout")


def test_max_age_edit_is_held_while_unsafe_and_goes_when_made_safe(shop: Shop) -> None:
    opted_in(shop)
    shop.merge("GrpcBalancedService", "orders", {"spec": {"server": {"maxConnectionAge": "2m"}}})
    held = shop.wait_condition("ServersConfigured", "False", "UnsafeRollout")
    message = condition(held, "ServersConfigured")["message"]
    assert "spec.minReadySeconds: 35" in message
    assert "lifecycle.preStop.sleep.seconds: 35" in message
    shop.wait_event("orders", "UnsafeRollout")
    assert condition(held, "RolloutSafe")["status"] == "False"
    assert shop.env("orders")[MAX_AGE] == "300000"
    # minReadySeconds is no part of the template: making it safe rolls nothing by itself.
    shop.merge("Deployment", "orders", {"spec": SAFE})
    shop.wait_env("orders", MAX_AGE, "120000")


def test_allow_unsafe_lets_it_go(shop: Shop) -> None:
    opted_in(shop)
    spec = {"server": {"maxConnectionAge": "2m"}, "rollout": {"allowUnsafe": True}}
    shop.merge("GrpcBalancedService", "orders", {"spec": spec})
    shop.wait_env("orders", MAX_AGE, "120000")
    shop.wait_configured()


def test_rollout_undo_of_a_client_is_brought_back(shop: Shop) -> None:
    opted_in(shop)
    shop.kubectl("rollout", "undo", "deployment/checkout")
    shop.wait_env("checkout", TARGET, target(shop))
    shop.wait_configured()
    # 4 when the controller saw the undone template before ours came, 3 when it did not.
    assert shop.revision("checkout") in (3, 4)


def test_rollout_undo_of_a_server_is_held_and_then_brought_back(shop: Shop) -> None:
    opted_in(shop)
    shop.kubectl("rollout", "undo", "deployment/orders")
    shop.wait_condition("ServersConfigured", "False", "UnsafeRollout")
    shop.merge("Deployment", "orders", {"spec": SAFE})
    shop.wait_env("orders", MAX_AGE, "300000")


def test_env_removed_by_replace_comes_back(shop: Shop) -> None:
    client = objects.client(annotations={"grpcbalance.dev/client": "orders"})
    shop.create(objects.balanced(), objects.server(annotations={"grpcbalance.dev/server": "orders"}), client)
    shop.wait_configured()
    shop.kubectl("replace", "-f", "-", stdin=yaml.safe_dump(client))
    shop.wait_env("checkout", TARGET, target(shop))
    shop.wait_configured()


def test_client_side_apply_of_the_users_manifest_keeps_ours(shop: Shop) -> None:
    client = yaml.safe_dump(objects.client(annotations={"grpcbalance.dev/client": "orders"}))
    shop.create(objects.balanced(), objects.server(annotations={"grpcbalance.dev/server": "orders"}))
    shop.kubectl("apply", "-f", "-", stdin=client)
    shop.wait_configured()
    shop.kubectl("apply", "-f", "-", stdin=client)
    assert shop.env("checkout")[TARGET] == target(shop)
    assert shop.revision("checkout") == 2


def test_a_user_of_server_side_apply_may_rename_the_container(shop: Shop) -> None:
    client = objects.client(annotations={"grpcbalance.dev/client": "orders"})
    shop.create(objects.balanced(), objects.server(annotations={"grpcbalance.dev/server": "orders"}))
    shop.kubectl("apply", "--server-side", "-f", "-", stdin=yaml.safe_dump(client))
    shop.wait_configured()
    client["spec"]["template"]["spec"]["containers"][0]["name"] = "renamed"
    shop.kubectl("apply", "--server-side", "-f", "-", stdin=yaml.safe_dump(client))
    shop.wait_deployment(
        "checkout",
        lambda d: (
            [c["name"] for c in d["spec"]["template"]["spec"]["containers"]] == ["renamed"]
            and any(e["name"] == TARGET for e in d["spec"]["template"]["spec"]["containers"][0]["env"])
        ),
        "renamed container carries the target",
    )


def test_users_own_rollout_changes_no_condition(shop: Shop) -> None:
    opted_in(shop)
    before = shop.wait_condition("Ready")["status"]["conditions"]
    shop.kubectl("rollout", "restart", "deployment/orders", "deployment/checkout")
    shop.wait_rolled_out("orders", "checkout")
    after = shop.wait_condition("Ready")["status"]["conditions"]
    times = {c["type"]: (c["status"], c["lastTransitionTime"]) for c in before}
    assert {c["type"]: (c["status"], c["lastTransitionTime"]) for c in after} == times
    assert (shop.revision("orders"), shop.revision("checkout")) == (3, 3)


def test_paused_deployment_waits(shop: Shop) -> None:
    server = objects.idle("orders", ports=(5000,), annotations={"grpcbalance.dev/server": "orders"})
    server["spec"]["paused"] = True
    shop.create(server, objects.balanced())
    shop.wait_workload("orders", "DeploymentPaused")
    assert MAX_AGE not in shop.env("orders")
    shop.kubectl("rollout", "resume", "deployment/orders")
    shop.wait_env("orders", MAX_AGE, "300000")


@pytest.mark.full
def test_rollouts_are_limited_and_all_finish(shop: Shop) -> None:
    names = [f"server-{number:02d}" for number in range(14)]
    for name in names:
        shop.create(objects.server(name, replicas=1, spec={"minReadySeconds": 5}))
    shop.wait_rolled_out(*names)
    shop.create(objects.balanced())
    for name in names:
        shop.annotate(name, server="orders")
    balanced = shop.wait_balanced(
        lambda b: any(w["reason"] == "RolloutLimit" for w in b.get("status", {}).get("workloads", [])),
        "some servers wait for a rollout slot",
    )
    assert balanced["status"]["servers"]["configured"] <= len(names) - 1
    shop.wait_balanced(
        lambda b: b["status"]["servers"]["matched"] == b["status"]["servers"]["configured"] == len(names),
        "all servers are configured",
        within=ROLLOUT,
    )
    assert [shop.revision(name) for name in names] == [2] * len(names)


def test_two_services_that_call_each_other_both_finish(shop: Shop) -> None:
    pair = {"orders": "payments", "payments": "orders"}
    for name in pair:
        # Each is a server of running clients as soon as the other is configured.
        shop.create(objects.balanced(name, rollout={"allowUnsafe": True}), objects.server(name))
    shop.wait_rolled_out(*pair)
    for name, other in pair.items():
        shop.annotate(name, server=name, client=other)
    for name, other in pair.items():
        shop.wait_configured(name)
        assert shop.env(name)[f"GRPC_{other.upper()}_TARGET"] == (
            f"dns:///{other}-headless.{shop.namespace}.svc.cluster.local.:5000"
        )


def test_controlled_workload_is_refused(shop: Shop) -> None:
    shop.create(objects.cluster_ip("owner"))
    owner = shop.get("Service", "owner")
    server = objects.idle("orders", ports=(5000,), annotations={"grpcbalance.dev/server": "orders"})
    server["metadata"]["ownerReferences"] = [
        {"apiVersion": "v1", "kind": "Service", "name": "owner", "uid": owner["metadata"]["uid"], "controller": True}
    ]
    shop.create(server, objects.balanced())
    listed = shop.wait_workload("orders", "Controlled")
    assert "Service owner" in listed["message"]
    assert MAX_AGE not in shop.env("orders")


def test_ambiguous_container_is_refused_and_the_annotation_decides(shop: Shop) -> None:
    server = objects.idle("orders", annotations={"grpcbalance.dev/client": "payments"})
    containers = server["spec"]["template"]["spec"]["containers"]
    containers.append({**containers[0], "name": "second", "env": []})
    shop.create(
        objects.balanced("payments"),
        objects.server("payments", annotations={"grpcbalance.dev/server": "payments"}),
        server,
    )
    listed = shop.wait_workload("orders", "AmbiguousContainer", "payments", within=60)
    assert "app, second" in listed["message"]
    shop.annotate("orders", containers="second")
    shop.wait_condition("ClientsConfigured", name="payments")
    assert "GRPC_PAYMENTS_TARGET" in shop.env("orders", "second")
    assert "GRPC_PAYMENTS_TARGET" not in shop.env("orders", "app")
