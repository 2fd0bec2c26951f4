"""Listings against a store that is nothing but a dictionary, in fake time."""

from __future__ import annotations

import asyncio
from itertools import pairwise

from grpcbalance.errors import Expired, Gone, Invalid, KubeError, Retry
from grpcbalance.watched import KINDS, kinds_in

from .fake_time import run
from .listings import DEPLOYMENTS, PATHS, SERVICES, SLICES, Bench, Source, bench, thing


def test_the_seed_takes_every_page_of_every_kind_and_enqueues_nothing() -> None:
    async def main() -> Bench:
        made = Bench(Source(services=[[[thing("a"), thing("b")], [thing("c")]]], deployments=[[[thing("d")]]]))
        assert set(made.sync.trouble()) == {kind.plural for kind in KINDS}
        await made.run_for(0)
        return made

    made = run(main())
    assert set(made.store.items["services"]) == {("ns", "a"), ("ns", "b"), ("ns", "c")}
    assert set(made.store.items["deployments"]) == {("ns", "d")}
    assert made.queue == []
    assert made.sync.trouble() == {}
    assert made.sync.done.is_set()
    assert made.listener.told[-1] == ("synced", True)
    assert (SLICES, "grpcbalance.dev/service", 0.0) in made.source.lists
    assert {label for path, label, _ in made.source.lists if path != SLICES} == {""}


def test_a_missing_permission_is_shown_and_heals() -> None:
    async def main() -> None:
        denied = Invalid("list deployments: deployments.apps is forbidden")
        made = Bench(Source(deployments=[[denied], [denied], [denied], [[thing("d")]]]))
        running = asyncio.create_task(made.sync.run())
        await asyncio.sleep(1)
        assert made.sync.trouble() == {"deployments": str(denied)}
        assert not made.sync.done.is_set()
        await made.sync.done.wait()
        running.cancel()
        assert made.sync.trouble() == {}
        assert set(made.store.items["deployments"]) == {("ns", "d")}
        assert made.listener.told.count(("failed", "deployments")) == 3

    run(main())


def test_the_seed_survives_a_long_outage_with_a_bounded_pace() -> None:
    away = [Retry(None, "connection refused")]
    made = bench(0, Source(services=[*([away] * 40), [[thing("a")]]]))
    times = made.source.times(SERVICES)
    assert len(times) == 41
    gaps = [b - a for a, b in pairwise(times)]
    assert max(gaps) <= 36.0
    assert min(gaps[6:]) >= 24.0
    assert set(made.store.items["services"]) == {("ns", "a")}


def test_a_kind_that_is_not_defined_is_empty() -> None:
    made = bench(0, Source(grpcbalancedservices=[[Gone("404")]]))
    assert made.sync.trouble() == {}
    assert made.store.items["grpcbalancedservices"] == {}


def test_services_that_are_not_served_are_no_empty_list() -> None:
    made = bench(0, Source(services=[[Gone("404")], [[thing("a")]]]))
    assert set(made.store.items["services"]) == {("ns", "a")}
    assert ("failed", "services") in made.listener.told


def test_resync_comes_every_interval_spread_by_a_fifth() -> None:
    made = bench(6000, Source())
    times = made.source.times(SERVICES)
    gaps = [b - a for a, b in pairwise(times)]
    assert len(gaps) >= 8
    assert all(480 <= gap <= 720 for gap in gaps)
    assert len({round(when) for path in PATHS for when in made.source.times(path)[1:2]}) > 1


def test_resync_prunes_what_is_gone_and_takes_what_is_new_as_backlog() -> None:
    made = bench(800, Source(services=[[[thing("a"), thing("b")]], [[thing("b")], [thing("c")]]]))
    assert set(made.store.items["services"]) == {("ns", "b"), ("ns", "c")}
    assert made.store.pruned == [("services", ("ns", "a"))]
    assert made.queue == [("services/c", True), ("services/a", True)]
    assert ("resynced", "services", 1) in made.listener.told


def test_what_a_watch_brought_during_the_listing_is_not_dead() -> None:
    made: Bench

    def created() -> None:
        made.sync.take("services", "ADDED", thing("new"))

    async def main() -> None:
        nonlocal made
        made = Bench(Source(services=[[[thing("a")]], [[thing("a")], created, []]]))
        await made.run_for(800)

    run(main())
    assert set(made.store.items["services"]) == {("ns", "a"), ("ns", "new")}
    assert made.store.pruned == []


def test_an_object_replaced_during_the_listing_is_not_dead() -> None:
    made: Bench

    def replaced() -> None:
        made.sync.take("services", "DELETED", thing("a", "old"))
        made.sync.take("services", "ADDED", thing("a", "new"))

    async def main() -> None:
        nonlocal made
        # The listing shows the moment between the two: neither is in it.
        made = Bench(Source(services=[[[thing("a", "old")]], [replaced, []]]))
        await made.run_for(800)

    run(main())
    assert made.store.items["services"] == {("ns", "a"): "new"}
    assert made.store.pruned == []


def test_a_page_older_than_a_deletion_brings_nothing_back() -> None:
    made: Bench

    def deleted() -> None:
        made.sync.take("services", "DELETED", thing("z"))

    async def main() -> None:
        nonlocal made
        made = Bench(Source(services=[[[thing("a"), thing("z")]], [[thing("a")], deleted, [thing("z")]]]))
        await made.run_for(800)

    run(main())
    assert set(made.store.items["services"]) == {("ns", "a")}


def test_an_incomplete_listing_prunes_nothing() -> None:
    listed = [[thing("a"), thing("b")]]
    made = bench(800, Source(services=[listed, [[thing("a")], Expired("410")], listed]))
    assert made.store.pruned == []
    assert ("failed", "services") in made.listener.told
    assert made.sync.trouble() == {}


def test_a_definition_that_goes_is_believed_at_the_second_time_of_asking() -> None:
    cr = [[thing("orders")]]
    blip = bench(800, Source(grpcbalancedservices=[cr, [Gone("404")], cr]))
    assert blip.store.pruned == []
    gone = bench(800, Source(grpcbalancedservices=[cr, [Gone("404")]]))
    assert gone.store.pruned == [("grpcbalancedservices", ("ns", "orders"))]
    assert gone.queue == [("grpcbalancedservices/orders", True)]
    assert gone.sync.trouble() == {}


def test_events_of_a_watch_go_to_the_fresh_lane() -> None:
    made = bench(0, Source(), lambda b: b.sync.take("services", "ADDED", thing("a")))
    assert made.queue == [("services/a", False)]
    assert ("watched", "services", "ADDED") in made.listener.told


def test_a_watch_that_begins_anew_is_followed_by_a_listing_once() -> None:
    def relisted(made: Bench) -> None:
        for name in "abc":
            made.sync.take("services", None, thing(name))

    made = bench(60, Source(services=[[[]], [[thing("a")]]]), relisted)
    assert made.source.times(SERVICES) == [0.0, 5.0]
    assert made.source.times(DEPLOYMENTS) == [0.0]
    assert set(made.store.items["services"]) == {("ns", "a")}


def test_hurry_lists_everything_soon_and_the_rhythm_goes_on() -> None:
    made = bench(800, Source(), lambda b: b.sync.hurry())
    for path in PATHS:
        times = made.source.times(path)
        assert times[1] == 5.0
        assert 485 <= times[2] <= 725


def test_the_listing_waits_until_a_long_relist_is_over() -> None:
    async def main() -> list[float]:
        made = Bench(Source())
        task = asyncio.create_task(made.sync.run())
        await made.sync.done.wait()
        for number in range(20):
            await asyncio.sleep(1)
            made.sync.take("services", None, thing(str(number)))
        await asyncio.sleep(30)
        task.cancel()
        return made.source.times(SERVICES)

    assert run(main()) == [0.0, 25.0]


def test_an_outage_makes_nothing_unknown_but_a_missing_permission_does() -> None:
    async def main(error: KubeError) -> dict[str, str]:
        made = Bench(Source(services=[[[]], [error]]))
        task = asyncio.create_task(made.sync.run())
        await asyncio.sleep(800)
        task.cancel()
        assert ("failed", "services") in made.listener.told
        return made.sync.trouble()

    assert run(main(Retry(None, "away"))) == {}
    assert run(main(Invalid("forbidden"))) == {"services": "forbidden"}


DENIED = Invalid("list deployments: forbidden")


def test_a_kind_that_is_barred_keeps_the_others_from_nothing() -> None:
    async def main() -> None:
        made = Bench(Source(services=[[[thing("a")]]], deployments=[[DENIED]]))
        running = asyncio.create_task(made.sync.run())
        made.sync.bar({"deployments", "pods"})
        await made.sync.ready()
        assert set(made.store.items["services"]) == {("ns", "a")}
        assert "deployments" not in {kind.plural for kind in made.sync.watchable}
        assert len(made.sync.watchable) == len(KINDS) - 1
        assert not made.sync.done.is_set()
        assert made.sync.undone.is_set()
        running.cancel()

    run(main())


def test_what_is_barred_is_listed_at_once_when_it_is_allowed() -> None:
    async def main() -> None:
        made = Bench(Source(deployments=[[DENIED], [DENIED], [DENIED], [DENIED], [DENIED], [[thing("d")]]]))
        running = asyncio.create_task(made.sync.run())
        made.sync.bar({"deployments"})
        loop = asyncio.get_running_loop()
        while len(made.source.times(DEPLOYMENTS)) < 5:  # noqa: ASYNC110 - fake time, and a source tells nobody
            await asyncio.sleep(0.1)
        began = loop.time()
        made.sync.bar(())
        await made.sync.done.wait()
        # The pause would have been 20 s.
        assert loop.time() - began < 1
        assert set(made.store.items["deployments"]) == {("ns", "d")}
        assert not made.sync.undone.is_set()
        running.cancel()

    run(main())


def test_a_permission_that_goes_makes_its_kind_unknown_until_it_was_listed_again() -> None:
    async def main() -> Bench:
        made = Bench(Source(deployments=[[[thing("d"), thing("e")]], [DENIED], [[thing("d")]]]))
        running = asyncio.create_task(made.sync.run())
        await made.sync.done.wait()
        made.sync.bar({"deployments"})
        assert not made.sync.done.is_set()
        # May be listed, but not be watched.
        await asyncio.sleep(120)
        assert not made.sync.done.is_set()
        made.sync.bar(())
        assert not made.sync.done.is_set()
        await made.sync.done.wait()
        running.cancel()
        return made

    made = run(main())
    assert made.store.pruned == [("deployments", ("ns", "e"))]
    assert [told for told in made.listener.told if told[0] == "synced"] == [("synced", v) for v in (True, False, True)]


def test_one_namespace_is_listed_there_and_nothing_of_the_cluster() -> None:
    paths = [kind.path for kind in kinds_in("shop")]
    assert "/api/v1/namespaces/shop/services" in paths
    assert "/apis/apps/v1/namespaces/shop/deployments" in paths
    assert all("/namespaces/shop/" in path for path in paths)
    assert len(paths) == len(KINDS) - 1
    assert kinds_in(None) == KINDS


def test_waiting_makes_no_task_that_kopf_could_take_for_one_of_its_own() -> None:
    # It cancels what is younger than itself; a listing that is cancelled is one that nobody misses.
    async def main() -> set[str]:
        made = Bench(Source(deployments=[[Invalid("list deployments: forbidden")]]))
        own = asyncio.create_task(made.sync.run(), name="own")
        await asyncio.sleep(0.5)
        known = {task.get_name() for task in asyncio.all_tasks() if task is not asyncio.current_task()}
        own.cancel()
        return known

    assert {name for name in run(main()) if not name.startswith(("own", "list "))} == set()
