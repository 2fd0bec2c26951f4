"""What is foretold of clusters and manifests, and that the operator then does exactly that."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from grpcbalance.diff.run import Wish, diff
from grpcbalance.names import ANNOTATION_SERVER, KIND
from tests.unit import factories as make
from tests.unit.reconcile.world import LONG, World

from .kit import NOW, Cluster, manifests, reasons, report, variables, workload

Raw = dict[str, Any]
TARGET = "GRPC_ORDERS_TARGET"
MAX_AGE = "GRPC_SERVER_MAX_CONNECTION_AGE_MS"
DIALLED = "dns:///orders-headless.shop.svc.cluster.local.:5000"
PODS = {"app=orders": ["orders-1", "orders-2"], "app=checkout": ["checkout-1"]}


def first_opt_in() -> list[Raw]:
    return [make.gbs(), make.server(replicas=2), make.deployment(client="orders")]


def settled(*objects: Raw) -> World:
    """A world in which the operator has done all there is to do."""
    world = World()
    world.server.put(*objects)
    return world.start().run(LONG)


def cluster_of(world: World, pods: dict[str, list[str]] | None = None) -> Cluster:
    kinds = ("grpcbalancedservices", "services", "endpointslices", "deployments")
    return Cluster((raw for kind in kinds for raw in world.server.all(kind)), PODS if pods is None else pods)


def test_a_first_opt_in_is_foretold_to_its_end() -> None:
    found = report(Cluster(first_opt_in(), PODS))
    assert [(s.action, s.name, s.balanced) for s in found.services] == [("Create", "orders-headless", "orders")]
    server, client = workload(found, "orders"), workload(found, "checkout")
    assert variables(server)[MAX_AGE] == ("Add", None, "300000")
    assert variables(client)[TARGET] == ("Add", None, DIALLED)
    assert server.restart is not None
    assert (server.restart.pods, server.restart.names) == (2, ("orders-1", "orders-2"))
    assert (found.summary.services, found.summary.workloads, found.summary.pods) == (1, 2, 3)
    assert found.changed
    assert found.assumptions == ()


def test_where_all_is_done_nothing_is_foretold() -> None:
    found = report(cluster_of(settled(*first_opt_in())))
    assert not found.changed
    assert (found.services, found.workloads) == ((), ())


def test_manifests_of_what_is_done_change_nothing_either() -> None:
    found = report(cluster_of(settled(*first_opt_in())), manifests(*first_opt_in()))
    assert not found.changed


def allow_unsafe(world: World) -> None:
    world.spec("grpcbalancedservices", "orders", rollout={"allowUnsafe": True}, server={"maxConnectionAge": "2m"})


def leave(world: World) -> None:
    world.annotate("checkout")


def move_port(world: World) -> None:
    def change(raw: Raw) -> None:
        raw["spec"]["template"]["spec"]["containers"][0]["ports"] = [{"containerPort": 6000}]

    world.server.edit("deployments", "orders", change)
    world.spec("grpcbalancedservices", "orders", port=6000, rollout={"allowUnsafe": True})


def rename(world: World) -> None:
    world.spec("grpcbalancedservices", "orders", serviceName="orders-direct")


def unsafe(world: World) -> None:
    world.spec("grpcbalancedservices", "orders", server={"maxConnectionAge": "2m"})


def break_service(world: World) -> None:
    world.spec("services", "orders-headless", publishNotReadyAddresses=True)


def own_value(world: World) -> None:
    def change(raw: Raw) -> None:
        env = raw["spec"]["template"]["spec"]["containers"][0]["env"]
        env[:] = [{"name": TARGET, "value": "mine"}, *(e for e in env if e["name"] != TARGET)]

    world.server.edit("deployments", "checkout", change)


def nothing(_: World) -> None:
    """Only the first opt-in, or nothing at all."""


@pytest.mark.parametrize("begun", [True, False], ids=["later", "first"])
@pytest.mark.parametrize("change", [nothing, allow_unsafe, leave, move_port, rename, unsafe, break_service, own_value])
def test_the_operator_does_what_was_foretold(change: Callable[[World], None], begun: bool) -> None:
    world = World()
    world.server.put(*first_opt_in())
    if begun or change in (break_service, own_value):
        world.start().run(LONG)
    world = World(after=world)
    change(world)
    found = report(cluster_of(world))
    before = {name: world.env(name) for name in ("orders", "checkout")}
    services = {raw["metadata"]["name"] for raw in world.server.all("services")}
    world.start().run(LONG)
    for name, env in before.items():
        foretold = dict(env)
        for item in found.workloads:
            if item.name == name and item.action == "Write":
                for variable, (_, old, new) in variables(item).items():
                    assert foretold.pop(variable, None) == old
                    foretold |= {} if new is None else {variable: new}
        assert world.env(name) == foretold
    gone = {s.name for s in found.services if s.action == "Retire"}
    made = {s.name for s in found.services if s.action == "Create"}
    assert {raw["metadata"]["name"] for raw in world.server.all("services")} == (services | made) - gone
    refused = {(item.name, reason) for item in found.workloads for reason in reasons(item) if item.action != "Write"}
    assert refused == {
        (entry["name"], entry["reason"]) for entry in world.status()["workloads"] if entry["state"] != "Configured"
    }


def test_afterwards_nothing_more_is_foretold() -> None:
    world = settled(*first_opt_in())
    for change in (break_service, allow_unsafe, leave, rename):
        change(world)
        world.run(LONG)
        assert not report(cluster_of(world)).changed


def test_a_rollout_that_is_not_safe_is_held_and_its_change_is_shown() -> None:
    world = settled(*first_opt_in())
    unsafe(world)
    found = report(cluster_of(world))
    server = workload(found, "orders")
    assert (server.action, server.restart, reasons(server)) == ("Wait", None, ["UnsafeRollout"])
    assert variables(server)[MAX_AGE] == ("Change", "300000", "120000")
    assert not found.changed
    assert found.summary.waiting == 1
    assert "RolloutSafe" in {c.type for balanced in found.balanced for c in balanced.conditions}


@pytest.mark.parametrize(("pods", "action"), [({}, "None"), (PODS, "Write")])
def test_a_client_waits_unless_a_pod_would_answer(pods: dict[str, list[str]], action: str) -> None:
    client = workload(report(Cluster(first_opt_in(), pods)), "checkout")
    assert client.action == action
    assert reasons(client) == (["TargetNotServing"] if action == "None" else [])


def test_servers_that_a_manifest_brings_are_believed_to_come_up() -> None:
    objects = first_opt_in()
    found = report(Cluster([objects[2]], {"app=checkout": ["checkout-1"]}), manifests(*objects[:2]))
    assert workload(found, "checkout").action == "Write"
    server = workload(found, "orders")
    assert server.restart is not None
    assert (server.restart.pods, server.restart.names) == (0, ())


def test_without_a_cluster_targets_are_believed_to_serve() -> None:
    found = report(None, manifests(*first_opt_in()))
    assert not found.cluster
    assert len(found.assumptions) == 1
    client = workload(found, "checkout")
    assert client.restart is not None
    assert (client.action, client.restart.pods, client.restart.names) == ("Write", 1, None)


def test_what_one_namespace_does_not_tell_is_said() -> None:
    wish = Wish((), "shop", forced=True, balancer=make.balancer(cluster_domain=make.DOMAIN), with_cluster=True)
    (assumption,) = asyncio.run(diff(Cluster(first_opt_in()), wish, NOW)).assumptions
    assert assumption.startswith("only namespace shop was asked")


def test_a_manifest_over_a_live_object_keeps_what_it_does_not_tell_of() -> None:
    world = settled(*first_opt_in())
    changed = make.gbs(server={"maxConnectionAge": "2m"}, rollout={"allowUnsafe": True})
    found = report(cluster_of(world), manifests(changed))
    assert variables(workload(found, "orders")) == {MAX_AGE: ("Change", "300000", "120000")}
    assert [item.name for item in found.workloads] == ["orders"]


def test_with_manifests_only_they_and_their_neighbours_are_told_of() -> None:
    other = [make.gbs("payments"), make.server("payments"), make.deployment("shipping", client="payments")]
    found = report(Cluster([*first_opt_in(), *other], PODS), manifests(first_opt_in()[1]))
    assert [item.name for item in found.workloads] == ["checkout", "orders"]
    assert [s.balanced for s in found.services] == ["orders"]
    # A Service that a serviceRef names is a neighbour, too.
    plain = make.service("payments")
    referring = make.gbs("payments", selector=None, port=None, serviceRef={"name": "payments"})
    found = report(Cluster([referring, plain, *first_opt_in()], PODS), manifests(plain))
    assert [s.balanced for s in found.services] == ["payments"]


def test_an_old_service_is_retired_when_all_its_users_will_have_left() -> None:
    world = settled(*first_opt_in())
    rename(world)
    found = report(cluster_of(world))
    assert {(s.name, s.action) for s in found.services} == {("orders-direct", "Create"), ("orders-headless", "Retire")}
    # One that names the host by itself keeps it.
    own = make.deployment("legacy", containers=[make.container(env=make.env(ADDRESS="orders-headless.shop.svc:5000"))])
    world.server.put(own)
    assert [s.name for s in report(cluster_of(world)).services] == ["orders-direct"]


def test_a_drifted_service_is_shown_field_by_field() -> None:
    world = settled(*first_opt_in())
    ports = [{"name": "grpc", "port": 7, "targetPort": 7, "protocol": "TCP"}]
    world.spec("services", "orders-headless", ports=ports, selector={"app": "other"})
    (service,) = report(cluster_of(world)).services
    assert service.action == "Change"
    wanted = [{"name": "grpc", "port": 5000, "targetPort": 5000, "protocol": "TCP", "appProtocol": "grpc"}]
    assert {f.path: (f.old, f.new) for f in service.fields} == {
        "spec.ports": (ports, wanted),
        "spec.selector": ({"app": "other"}, {"app": "orders"}),
    }


def test_a_name_that_is_taken_is_told() -> None:
    found = report(Cluster([*first_opt_in(), make.service("orders-headless")], PODS))
    assert found.services == ()
    (balanced,) = found.balanced
    assert ("ServiceReady", "NameConflict") in {(c.type, c.reason) for c in balanced.conditions}
    assert reasons(workload(found, "checkout")) == ["TargetNotServing"]


def test_conflicts_are_told_though_the_rest_is_written() -> None:
    client = make.deployment(
        client="orders", containers=[make.container(env=make.env(GRPC_ORDERS_TARGET="mine", WORD="s3cret"))]
    )
    found = report(Cluster([make.gbs(), make.server(), client], PODS))
    entry = workload(found, "checkout")
    assert entry.action == "Write"
    assert reasons(entry) == ["EnvConflict"]
    assert TARGET not in variables(entry)
    assert found.summary.refused == 1
    text = found.model_dump_json()
    assert "s3cret" not in text
    assert "mine" not in text


def test_pods_are_asked_for_as_the_workload_selects_them() -> None:
    client = make.deployment(client="orders")
    client["spec"]["selector"] = {
        "matchLabels": {"app": "checkout"},
        "matchExpressions": [
            {"key": "tier", "operator": "In", "values": ["a", "b"]},
            {"key": "track", "operator": "NotIn", "values": ["canary"]},
            {"key": "live", "operator": "Exists"},
            {"key": "off", "operator": "DoesNotExist"},
        ],
    }
    cluster = Cluster([make.gbs(), make.server(), client, make.headless(), make.serving()])
    report(cluster)
    assert ("shop", "app=checkout,tier in (a,b),track notin (canary),live,!off") in cluster.asked


def test_what_selects_no_pods_by_itself_restarts_nothing() -> None:
    found = report(None, manifests(make.gbs(), make.server(), make.cron_job(client="orders")))
    entry = next(item for item in found.workloads if item.kind == "CronJob")
    assert (entry.action, entry.restart) == ("Write", None)


def test_a_workload_without_its_object_is_refused_nothing_but_told() -> None:
    found = report(None, manifests(make.server()))
    assert reasons(workload(found, "orders")) == ["ServiceMissing"]
    assert not found.changed


def test_an_object_that_is_not_accepted_is_told() -> None:
    found = report(None, manifests(make.gbs(port="grpc")))
    (balanced,) = found.balanced
    assert [(c.type, c.reason) for c in balanced.conditions] == [("Accepted", "PortUnresolved")]
    assert found.services == ()


def test_the_kind_of_the_object_and_the_annotation_are_those_of_the_operator() -> None:
    (given,) = manifests(make.gbs())
    assert given.raw["kind"] == KIND
    assert ANNOTATION_SERVER in make.server()["metadata"]["annotations"]
