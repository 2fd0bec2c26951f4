"""The fake API server does as the real one, where decisions of ours rest on it."""

from __future__ import annotations

from typing import Any

from grpcbalance.names import ANNOTATION_OWNER_UID

from .server import Server
from .test_services import NAME, marks_of
from .world import World, shop

Raw = dict[str, Any]


def test_the_fake_refuses_an_apply_of_another_port_as_the_api_server_does() -> None:
    # The POST and the apply are two owners; what only the POST set, an apply keeps: two ports named grpc.
    world = shop(World())
    manifest = world.server.get("services", NAME)
    manifest["spec"]["ports"] = [{**manifest["spec"]["ports"][0], "port": 6000, "targetPort": 6000}]
    assert "Duplicate value" in applied(world.server, manifest)
    assert world.server.get("services", NAME)["spec"]["ports"][0]["port"] == 5000


def applied(server: Server, manifest: Raw) -> str:
    try:
        server.apply_service(manifest).send(None)
    except StopIteration:
        return ""
    except Exception as error:
        return str(error)
    raise AssertionError("the fake API server never waits")


def test_the_fake_lets_an_apply_take_away_what_only_an_apply_gave() -> None:
    world = shop(World())
    manifest = world.server.get("services", NAME)
    manifest["metadata"]["annotations"]["note"] = "x"
    assert applied(world.server, manifest) == ""
    assert marks_of(world)["note"] == "x"
    del manifest["metadata"]["annotations"]["note"]
    del manifest["metadata"]["annotations"][ANNOTATION_OWNER_UID]
    assert applied(world.server, manifest) == ""
    # The POST still owns the other one.
    assert list(marks_of(world)) == [ANNOTATION_OWNER_UID]
