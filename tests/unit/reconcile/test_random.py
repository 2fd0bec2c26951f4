"""Whatever people do, in whatever order and at whatever pace: it comes to rest, and their own values stay."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from grpcbalance.errors import KubeError, Retry
from grpcbalance.names import PLURAL
from tests.unit import factories as make

from .server import Write
from .world import LONG, World

Raw = dict[str, Any]
VARIABLES = ("GRPC_A_TARGET", "GRPC_B_SERVICE_CONFIG", "GRPC_SERVER_MAX_CONNECTION_AGE_MS", "LOG_LEVEL")
WORKLOADS = ("a", "b", "c")


class People:
    """What they do to a world, and which env values are theirs."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.own: dict[tuple[str, str], str] = {}
        self._values = 0

    def annotate(self, workload: str, server: str | None, client: str | None) -> None:
        self.world.annotate(workload, server=server, client=client)

    def set_env(self, workload: str, variable: str) -> None:
        """Set a variable to a value that nobody had before, in place when it is there."""
        self._values += 1
        self.own[workload, variable] = value = f"mine-{self._values}"
        self._edit_env(workload, lambda env: [e for e in env if e["name"] != variable] + make.env(**{variable: value}))

    def unset_env(self, workload: str, variable: str) -> None:
        self.own.pop((workload, variable), None)
        self._edit_env(workload, lambda env: [e for e in env if e["name"] != variable])

    def toggle(self, name: str) -> None:
        """Delete the object, or create it anew."""
        if self.world.server.has(PLURAL, name):
            self.world.server.remove(PLURAL, name)
        else:
            self.world.server.put(make.gbs(name))

    def spec(self, name: str, field: str, value: Any) -> None:
        if self.world.server.has(PLURAL, name):
            self.world.spec(PLURAL, name, **{field: value})

    def restart(self) -> None:
        self.world.start()

    def _edit_env(self, workload: str, change: Callable[[list[Raw]], list[Raw]]) -> None:
        def edit(raw: Raw) -> None:
            container = raw["spec"]["template"]["spec"]["containers"][0]
            container["env"] = change(container.get("env") or [])

        self.world.server.edit("deployments", workload, edit)


Action = Callable[[People], None]
names = st.sampled_from(["a", "b"])
workloads = st.sampled_from(WORKLOADS)
fields = st.one_of(
    st.tuples(st.just("port"), st.sampled_from([5000, 6000])),
    st.tuples(st.just("serviceName"), st.sampled_from(["one", "two"])),
    st.tuples(st.just("server"), st.sampled_from([{"maxConnectionAge": "1m"}, {"mode": "Unmanaged"}])),
    st.tuples(st.just("rollout"), st.sampled_from([{"allowUnsafe": True}, {"allowUnsafe": False}])),
)


def annotating(workload: str, server: str | None, client: str | None) -> Action:
    return lambda people: people.annotate(workload, server, client)


def setting(workload: str, variable: str) -> Action:
    return lambda people: people.set_env(workload, variable)


def unsetting(workload: str, variable: str) -> Action:
    return lambda people: people.unset_env(workload, variable)


def toggling(name: str) -> Action:
    return lambda people: people.toggle(name)


def changing(name: str, field: tuple[str, Any]) -> Action:
    return lambda people: people.spec(name, *field)


actions = st.one_of(
    st.builds(annotating, workloads, st.none() | names, st.none() | st.sampled_from(["a", "b", "a,b"])),
    st.builds(setting, workloads, st.sampled_from(VARIABLES)),
    st.builds(unsetting, workloads, st.sampled_from(VARIABLES)),
    st.builds(toggling, names),
    st.builds(changing, names, fields),
    st.just(People.restart),
)
pauses = st.sampled_from([0.0, 0.05, 0.11, 0.5, 2.0, 70.0])


def begin(failures: list[KubeError | None]) -> People:
    world = World(takes=lambda name: 1.0 if name == "a" else 5.0)
    for name in WORKLOADS:
        world.server.put(make.deployment(name, containers=[make.container(ports=[5000, 6000])]))
    world.server.put(make.gbs("a"), make.gbs("b"))
    answers = iter(failures)

    def fault(_: Write, done: bool) -> None:
        error = None if done else next(answers, None)
        if error is not None:
            raise error

    world.server.faults.append(fault)
    world.annotate("a", server="a", client="b")
    world.annotate("c", client="a,b")
    world.start()
    return People(world)


def own_values(people: People) -> dict[tuple[str, str], str | None]:
    return {(workload, variable): people.world.env(workload).get(variable) for workload, variable in people.own}


@settings(max_examples=25, deadline=None)
@given(
    steps=st.lists(st.tuples(actions, pauses), max_size=12),
    failures=st.lists(st.sampled_from([None, Retry(None, "away"), Retry(3.0, "busy")]), max_size=6),
)
@example(
    # A client that is held has waited for its servers; a restart must not let it wait anew.
    steps=[
        (annotating("b", "b", None), 70.0),
        (toggling("b"), 0.0),
        (unsetting("b", "GRPC_SERVER_MAX_CONNECTION_AGE_MS"), 0.0),
        (toggling("b"), 0.0),
    ],
    failures=[],
)
def test_whatever_people_do_it_comes_to_rest_and_their_values_stay(
    steps: list[tuple[Action, float]], failures: list[KubeError | None]
) -> None:
    people = begin(failures)
    for act, pause in steps:
        act(people)
        people.world.run(pause)
        assert own_values(people) == people.own
    # Twice: waits for servers and the death of a Service may follow one another.
    people.world.run(2 * LONG)
    assert own_values(people) == people.own
    assert people.world.writes_in(LONG) == []
    people.world.start()
    assert [str(write) for write in people.world.writes_in(LONG)] == []
