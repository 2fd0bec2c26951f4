"""Over TLS: nobody is moved to a balancer that its pods would not trust, and what goes wrong later is told."""

from __future__ import annotations

import asyncio

import pytest

from grpcbalance.errors import Forbidden
from grpcbalance.reconcile.authorities import Authorities
from tests.unit import factories as make

from .moving import ON_DNS, ON_XDS, TARGET, on_xds
from .world import LONG, World, make_context


def test_no_pod_is_made_that_could_not_start_for_want_of_the_certificate() -> None:
    world = on_xds(World(), "ready")
    assert world.env("checkout")[TARGET] == ON_DNS
    assert world.standing("checkout") == ("Refused", "XdsNoAuthority")
    # Told once of the workload, and once of the object.
    assert world.refusals("XdsNoAuthority") == 2
    assert world.writes_in(300.0) == []
    world.server.authorities["shop"] = "PEM"
    world.run(15.0)
    assert world.env("checkout")[TARGET] == ON_XDS
    assert world.run(LONG).standing("checkout") == ("Configured", "Configured")


def test_a_certificate_that_goes_is_told_until_it_is_back() -> None:
    world = World()
    world.server.authorities["shop"] = "PEM"
    on_xds(world, "ready")
    assert world.standing("checkout") == ("Configured", "Configured")
    world.server.authorities.clear()
    world.run(70.0)
    assert world.standing("checkout") == ("Refused", "XdsNoAuthority")
    assert world.condition("ClientsConfigured") == ("False", "XdsNoAuthority")
    assert "its new pods could not follow" in str(world.status()["workloads"])
    assert world.refusals("XdsNoAuthority") == 2
    # Nothing is taken from those that run, nor by a restart.
    again = World(after=world).start()
    assert again.writes_in(300.0) == []
    assert again.env("checkout")[TARGET] == ON_XDS
    again.server.authorities["shop"] = "PEM"
    again.run(15.0)
    assert again.standing("checkout") == ("Configured", "Configured")


def test_one_look_for_the_certificate_serves_all_of_a_namespace() -> None:
    world = World()
    world.server.authorities["shop"] = "PEM"
    world.server.put(
        *(
            make.deployment(f"more-{number}", client="orders", annotations={"grpcbalance.dev/xds": "ready"})
            for number in range(5)
        )
    )
    on_xds(world, "ready")
    assert world.env("more-4")[TARGET] == ON_XDS
    before = world.server.looks
    world.run(600.0)
    assert 9 <= world.server.looks - before <= 11


@pytest.mark.parametrize(
    ("pem", "reason", "told"),
    [
        ("", "XdsNoAuthority", "has no key ca.crt"),
        ("of another", "XdsNotTrusted", "self-signed certificate in certificate chain"),
        ("right", "XdsNotServing", "grpcbalance-xds.grpcbalance-system.svc.cluster.local:18001"),
    ],
)
def test_nobody_is_moved_to_a_balancer_that_it_would_not_trust(pem: str, reason: str, told: str) -> None:
    world = World()
    world.server.authorities["shop"] = pem
    world.server.tls.against["of another"] = "self-signed certificate in certificate chain"
    world.server.tls.unreachable = pem == "right"
    on_xds(world, "ready")
    assert world.env("checkout")[TARGET] == ON_DNS
    assert world.standing("checkout")[1] == reason
    assert told in str(world.status()["workloads"])
    world.server.authorities["shop"], world.server.tls.unreachable = "right", False
    world.run(15.0)
    assert world.env("checkout")[TARGET] == ON_XDS


def test_a_certificate_that_changes_is_told_of_who_was_moved_and_a_balancer_that_is_away_is_not() -> None:
    world = World()
    world.server.authorities["shop"] = "PEM"
    on_xds(world, "ready")
    world.server.tls.unreachable = True
    assert world.writes_in(200.0) == []
    world.server.tls.unreachable = False
    world.server.tls.against["PEM"] = "certificate has expired"
    world.run(70.0)
    assert world.standing("checkout") == ("Refused", "XdsNotTrusted")
    assert "its new pods could not follow" in str(world.status()["workloads"])
    world.server.tls.against.clear()
    world.run(15.0)
    assert world.standing("checkout") == ("Configured", "Configured")


def test_a_certificate_that_may_not_be_read_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    async def forbidden(_: str) -> str:
        raise Forbidden("get configmaps: forbidden")

    world = World()
    monkeypatch.setattr(world.server, "authority", forbidden)
    on_xds(world, "ready")
    assert world.env("checkout")[TARGET] == ON_DNS
    assert world.standing("checkout") == ("Refused", "ApiRefused")
    assert "get configmaps: forbidden" in str(world.status()["workloads"])


def test_who_looks_while_another_one_does_asks_nothing() -> None:
    world = World()
    world.server.authorities["shop"] = "PEM"
    on_xds(world, "ready")
    assert world.operator is not None
    operator, asked = world.operator, 0

    async def authority(_: str) -> str:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0)
        return "PEM"

    async def both() -> None:
        context = make_context(world.server, operator.view, world.settings, lambda: world.now, operator.enqueue)
        looking = Authorities(context)
        await asyncio.gather(*(looking.look(ref) for ref in [*operator.view.workloads] * 2))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(world.server, "authority", authority)
        asyncio.run(both())
    assert asked == 1
