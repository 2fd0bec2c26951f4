"""Each permission of the operator taken away in turn (19): told by verb and resource, and healed without a restart."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator
from typing import Final

from lab.install import NAMESPACE, condition
from lab.rest import Object, RestError, path
from tests.faults import scripts
from tests.faults.world import World, now, poll
from tests.kit import operator
from tests.kit.shop import Shop

ROLE: Final = path("rbac.authorization.k8s.io/v1", "clusterroles", "", "grpcbalance-operator")
# Missed while a service is set up: told in its condition, too.
TOLD_IN_STATUS: Final = (("patch", "deployments"), ("create", "services"))
# Missed by an operator that starts: there is nothing yet that could have a condition.
TOLD_AT_START: Final = (
    ("list", "services"),
    ("watch", "deployments"),
    ("list", "endpointslices"),
    ("list", "grpcbalancedservices"),
)
# An operator that runs looks once a minute at what it may do, and every ten seconds while something is missing.
_NOTICED: Final = 75.0
_HEALED: Final = 90.0


@contextlib.contextmanager
def revoked(world: World, verb: str, resource: str) -> Iterator[None]:
    """The operator may not do that within the block."""
    whole = world.api.get(ROLE)
    less = copy.deepcopy(whole)
    for rule in less["rules"]:
        if resource in rule.get("resources", []):
            rule["verbs"] = [v for v in rule["verbs"] if v != verb]
    less["rules"] = [rule for rule in less["rules"] if rule["verbs"]]
    assert less["rules"] != whole["rules"], f"{verb} {resource} is no permission of the operator"
    _set_rules(world, less["rules"])
    try:
        yield
    finally:
        _set_rules(world, whole["rules"])


def _set_rules(world: World, rules: list[Object]) -> None:
    world.api.merge(ROLE, {"rules": rules})


def missing(verb: str, resource: str, *, restart: bool) -> Callable[[World, Shop], None]:
    """A story: told in log, /readyz and, if it can be, in a condition; all is done once the permission is there.

    `restart`: the operator starts without it, else it is taken from one that runs.
    """

    def tell(world: World, shop: Shop) -> None:
        with revoked(world, verb, resource):
            began = now()
            if restart:
                world.kill()
            scripts.opted_in(shop)
            if (verb, resource) in TOLD_IN_STATUS:
                found = shop.wait_condition("Ready", "False", "MissingPermission", within=_NOTICED)
                message = condition(found, "Ready")["message"]
                assert verb in message
                assert resource in message
            assert poll(lambda: _logged(world.log(began), verb, resource), 60), "the log does not tell of it"
            assert poll(lambda: _readyz_tells(world, verb, resource), 10), "/readyz does not tell of it"
        shop.wait_configured(within=_HEALED)

    return tell


def _logged(log: str, verb: str, resource: str) -> bool:
    return any(verb in line and resource in line and '"info"' not in line for line in log.splitlines())


def _readyz_tells(world: World, verb: str, resource: str) -> bool:
    name = operator.pod(world.api)["metadata"]["name"]
    try:
        world.api.request("GET", path("v1", "pods", NAMESPACE, f"{name}:8080", "proxy/readyz"))
    except RestError as error:
        return verb in error.message and resource in error.message
    except ValueError:
        # It says ok, which is no JSON.
        return False
    return False
