"""Whatever happens and in whatever order it is told, the view ends as one made from the final objects."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from grpcbalance.model import Ref
from grpcbalance.observe import ref_of
from grpcbalance.view import KINDS, View
from tests.unit import factories as make
from tests.unit.core.snapshots import PLURALS, contents, newer, view_of

Raw = dict[str, Any]


SERVICES = st.sampled_from(["orders", "payments"])


def _gbs(name: str, service_name: str | None, ref: str | None, serial: int) -> Raw:
    more: dict[str, Any] = {"serviceRef": {"name": ref}, "selector": None} if ref else {}
    return make.gbs(name, serviceName=service_name, uid=f"{name}-{serial}", **more)


def _workload(name: str, server: str | None, client: str | None, host: bool, rolled: bool) -> Raw:
    entries = make.env(T="dns:///orders-headless.shop.svc") if host else []
    return make.deployment(name, server=server, client=client, rolled=rolled, containers=[make.container(env=entries)])


OBJECTS = st.one_of(
    st.builds(_gbs, SERVICES, st.sampled_from([None, "other"]), st.sampled_from([None, "web"]), st.integers(0, 1)),
    st.builds(
        _workload,
        st.sampled_from(["a", "b"]),
        SERVICES | st.none(),
        st.sampled_from([None, "orders", "orders,payments", "bank/orders", "bad!"]),
        st.booleans(),
        st.booleans(),
    ),
    # Lets in whoever has the label, or everybody; the namespace comes, goes, and changes its label.
    st.builds(
        lambda allowed: make.gbs("orders", namespace="bank", allowedClients={"namespaces": allowed}),
        st.sampled_from([{"from": "All"}, {"from": "Selector", "selector": {"matchLabels": {"team": "shop"}}}]),
    ),
    st.builds(lambda labels: make.namespace("shop", labels), st.sampled_from([{}, {"team": "shop"}])),
    st.builds(lambda name: make.headless(name, service_name="orders-headless"), SERVICES),
    st.builds(lambda: make.service("orders-headless")),
    st.builds(lambda name, ports: make.serving(name, ports=ports), SERVICES, st.sampled_from([(5000,), (6000,)])),
)


@dataclass
class Server:
    """What the API server holds, and every event of its history."""

    objects: dict[tuple[str, Ref], Raw] = field(default_factory=dict)
    history: list[tuple[str, str, Raw]] = field(default_factory=list)
    version: int = 0

    def write(self, raw: Raw) -> tuple[str, str, Raw]:
        self.version += 1
        raw = newer(raw, self.version)
        kind, ref = PLURALS[raw["kind"]], ref_of(raw)
        old = self.objects.get((kind, ref))
        if old is not None:
            raw["metadata"]["uid"] = old["metadata"]["uid"]
        else:
            raw["metadata"]["uid"] = f"uid-{self.version}"
        self.objects[kind, ref] = raw
        self.history.append((kind, "MODIFIED" if old else "ADDED", raw))
        return self.history[-1]

    def delete(self, at: int) -> tuple[str, str, Raw] | None:
        if not self.objects:
            return None
        self.version += 1
        kind, ref = sorted(self.objects)[at % len(self.objects)]
        self.history.append((kind, "DELETED", newer(self.objects.pop((kind, ref)), self.version)))
        return self.history[-1]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), OBJECTS),
        st.tuples(st.just("delete"), st.integers(0, 9)),
        # An event that was seen before, or the answer of a write that a watch overtook, arrives (again).
        st.tuples(st.just("late"), st.integers(0, 99)),
        # The watch loses an event; the next resync has to find out.
        st.tuples(st.just("lost"), st.integers(0, 9)),
        st.tuples(st.just("resync"), st.none()),
    ),
    max_size=14,
)


def resync(view: View, server: Server) -> None:
    for kind in KINDS:
        known = view.names(kind)
        listed = {ref: raw for (k, ref), raw in server.objects.items() if k == kind}
        for raw in listed.values():
            view.apply(kind, None, raw)
        view.prune(kind, [ref for ref in known if ref not in listed])


def play(view: View, server: Server, steps: list[tuple[str, Any]]) -> None:
    for step, argument in steps:
        event = None
        if step == "write":
            event = server.write(argument)
        elif step == "delete":
            event = server.delete(argument)
        elif step == "late" and server.history:
            event = server.history[argument % len(server.history)]
        elif step == "lost":
            server.delete(argument)
        elif step == "resync":
            resync(view, server)
        if event is not None:
            view.apply(*event)


@given(STEPS)
def test_any_history_ends_as_a_fresh_view_of_the_final_objects(steps: list[tuple[str, Any]]) -> None:
    view, server = View(), Server()
    play(view, server, [step for step in steps if step[0] != "lost"])
    assert contents(view) == contents(view_of(*server.objects.values()))


@given(STEPS, STEPS)
def test_lost_deletions_are_healed_by_the_next_resync(
    before: list[tuple[str, Any]], after: list[tuple[str, Any]]
) -> None:
    view, server = View(), Server()
    play(view, server, before)
    # Late events of objects whose deletion was lost do come back; a resync right after sees to them.
    play(view, server, [step for step in after if step[0] != "late"])
    resync(view, server)
    assert contents(view) == contents(view_of(*server.objects.values()))


@given(STEPS)
def test_a_restart_finds_the_same_keys(steps: list[tuple[str, Any]]) -> None:
    server = Server()
    play(View(), server, steps)
    one, other = view_of(*server.objects.values()), view_of(*reversed(server.objects.values()))
    assert set(one.all_keys()) == set(other.all_keys())


# -- late arrivals ---------------------------------------------------------------------------------------
