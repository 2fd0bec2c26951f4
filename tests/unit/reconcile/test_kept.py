"""What a headless Service keeps of its object's spec: there with XDS from the beginning, gone with it, and never else."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from grpcbalance.kept import kept_text
from grpcbalance.names import ANNOTATION_KEPT, ANNOTATION_OWNER_UID, ANNOTATION_UNREFERENCED, PLURAL
from grpcbalance.observe import balanced
from tests.unit import factories as make

from .server import Write
from .world import LONG, World, shop

NAME = "orders-headless"
OPEN: dict[str, Any] = {"discovery": "XDS", "allowedClients": {"namespaces": {"from": "All"}}}
KEPT = '{"allowedClients":{"namespaces":{"from":"All"}}}'
# The target of a client by DNS keeps every Service that there ever was.
TARGETS = {
    f"T{number}": f"dns:///{name}.shop.svc.cluster.local.:5000" for number, name in enumerate((NAME, "one", "two"))
}
CHANGES = st.one_of(
    st.fixed_dictionaries({"serviceName": st.sampled_from(["one", "two", NAME])}),
    st.fixed_dictionaries({"discovery": st.sampled_from(["DNS", "XDS"])}),
    st.fixed_dictionaries({"client": st.sampled_from([{"policy": "LeastRequest"}, {"maxRequests": 7}, {}])}),
    st.fixed_dictionaries({"allowedClients": st.sampled_from([OPEN["allowedClients"], {}])}),
    st.sampled_from(["toggle", "restart"]),
)


def of_services(writes: list[Write]) -> list[str]:
    return [f"{write.verb} {write.name}" for write in writes if write.kind == "services"]


def notes_of(world: World, name: str = NAME) -> dict[str, str]:
    found: dict[str, str] = world.server.get("services", name)["metadata"]["annotations"]
    return found


def open_to_all(**spec: Any) -> World:
    """A shop whose object has discovery XDS and lets in everybody."""
    world = World()
    world.server.put(make.gbs(**OPEN, **spec), make.server(), make.deployment(client="orders"))
    return world.start()


def test_it_takes_no_write_of_its_own_and_follows_the_spec() -> None:
    world = open_to_all()
    assert of_services(world.writes_in(LONG)) == [f"create {NAME}"]
    assert notes_of(world)[ANNOTATION_KEPT] == KEPT
    world.spec(PLURAL, "orders", client={"waitForReady": True})
    assert of_services(world.writes_in(LONG)) == []
    world.spec(PLURAL, "orders", client={"policy": "LeastRequest"})
    assert of_services(world.writes_in(LONG)) == [f"apply {NAME}"]
    assert notes_of(world)[ANNOTATION_KEPT] == KEPT[:-1] + ',"client":{"policy":"LeastRequest"}}'
    assert world.condition("ServiceReady") == ("True", "AsWanted")


def test_an_operator_that_starts_anew_writes_nothing() -> None:
    world = open_to_all()
    world.run(LONG)
    world.start()
    assert world.writes_in(LONG) == []


def test_with_dns_nothing_is_kept_and_with_dns_again_nothing_is_left() -> None:
    world = shop(World())
    assert list(notes_of(world)) == [ANNOTATION_OWNER_UID]
    for _ in range(2):
        world.spec(PLURAL, "orders", **OPEN)
        assert of_services(world.writes_in(LONG)) == [f"apply {NAME}"]
        assert notes_of(world)[ANNOTATION_KEPT] == KEPT
        world.spec(PLURAL, "orders", **OPEN | {"discovery": "DNS"})
        # What it has set only by an apply, an apply could take away at once.
        assert of_services(world.writes_in(LONG)) == [f"apply {NAME}"] * 2
        assert list(notes_of(world)) == [ANNOTATION_OWNER_UID]


def test_what_the_first_write_set_goes_too() -> None:
    world = open_to_all()
    world.run(LONG)
    world.spec(PLURAL, "orders", discovery="DNS")
    world.run(LONG)
    assert list(notes_of(world)) == [ANNOTATION_OWNER_UID]
    assert world.writes_in(LONG) == []


def test_it_outlives_the_object_and_all_marks() -> None:
    world = open_to_all()
    world.run(LONG)
    world.server.remove(PLURAL, "orders")
    assert of_services(world.writes_in(LONG)) == []
    world.annotate("checkout")
    world.run(10.0)
    assert notes_of(world)[ANNOTATION_KEPT] == KEPT
    assert ANNOTATION_UNREFERENCED in notes_of(world)
    containers = [make.container(env=make.env(TARGET="xds:///orders.shop:5000"))]
    world.server.put(make.deployment("by-hand", containers=containers))
    world.run(LONG)
    assert notes_of(world)[ANNOTATION_KEPT] == KEPT
    assert ANNOTATION_UNREFERENCED not in notes_of(world)


def test_under_a_new_name_one_service_alone_keeps_it() -> None:
    world = open_to_all()
    containers = [make.container(env=make.env(TARGET=f"dns:///{NAME}.shop.svc.cluster.local.:5000"))]
    world.server.put(make.deployment("by-hand", containers=containers))
    world.run(LONG)
    world.spec(PLURAL, "orders", serviceName="other")
    world.run(LONG)
    assert notes_of(world, "other")[ANNOTATION_KEPT] == KEPT
    assert ANNOTATION_KEPT not in notes_of(world)
    assert world.writes_in(LONG) == []


@given(st.lists(st.tuples(CHANGES, st.sampled_from([0.0, 0.05, 0.5, 70.0])), max_size=10))
@settings(max_examples=60, deadline=None)
def test_whatever_people_do_in_the_end_the_wanted_service_alone_keeps_what_the_spec_says(
    steps: list[tuple[Any, float]],
) -> None:
    world = World()
    world.server.put(make.gbs(**OPEN), make.deployment("by-hand", containers=[make.container(env=make.env(**TARGETS))]))
    world.start()
    spec: dict[str, Any] = {**OPEN}
    for change, pause in steps:
        there = world.server.has(PLURAL, "orders")
        if change == "restart":
            world.start()
        elif change == "toggle" and there:
            world.server.remove(PLURAL, "orders")
        elif change == "toggle":
            world.server.put(make.gbs(**spec))
        elif there:
            spec |= change
            world.spec(PLURAL, "orders", **change)
        world.run(pause)
    world.run(LONG)
    kept = {
        one["metadata"]["name"]: one["metadata"]["annotations"].get(ANNOTATION_KEPT)
        for one in world.server.all("services")
    }
    if world.server.has(PLURAL, "orders"):
        one = balanced(world.server.get(PLURAL, "orders"))
        assert kept.pop(one.service_name) == kept_text(one.spec)
        assert set(kept.values()) <= {None}
    assert world.writes_in(LONG) == []
