"""Each permission of the operator taken away in turn (19): told by verb and resource, and healed without a restart."""

from __future__ import annotations

import contextlib
import copy
import re
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


def all_of_them(world: World, shop: Shop) -> None:
    """Every rule is taken away, and they are given back three at a time: /readyz tells exactly what is missing."""
    rules = world.api.get(ROLE)["rules"]
    try:
        _set_rules(world, [])
        world.kill()
        scripts.opted_in(shop)
        for back in range(0, len(rules), 3):
            _set_rules(world, rules[:back])
            missing_now = sorted(name for rule in rules[back:] for name in _names(rule))
            assert poll(lambda wanted=missing_now: _told(world) == wanted, 30), (missing_now, _told(world))
    finally:
        _set_rules(world, rules)
    shop.wait_configured(within=_HEALED)
    told = "nothing is missing any more"
    shop.wait_balanced(lambda b: condition(b, "Ready")["reason"] != "MissingPermission", told, within=_HEALED)


def _names(rule: Object) -> Iterator[str]:
    """The permissions of a rule, as the operator writes them."""
    (group,), (resource,) = rule["apiGroups"], rule["resources"]
    name, slash, subresource = resource.partition("/")
    only = "".join(f" {one}" for one in rule.get("resourceNames", ()))
    for verb in rule["verbs"]:
        yield f"{verb} {name}{'.' + group if group else ''}{slash}{subresource}{only}"


def _told(world: World) -> list[str]:
    """What is missing, as /readyz tells it."""
    return sorted(re.findall(r"may not (\w+ [^:\n]+): apply", _readyz(world)))


def _logged(log: str, verb: str, resource: str) -> bool:
    return any(verb in line and resource in line and '"info"' not in line for line in log.splitlines())


def _readyz_tells(world: World, verb: str, resource: str) -> bool:
    said = _readyz(world)
    return verb in said and resource in said


def _readyz(world: World) -> str:
    """What /readyz says while it is not content; empty when it is."""
    name = operator.pod(world.api)["metadata"]["name"]
    try:
        world.api.request("GET", path("v1", "pods", NAMESPACE, f"{name}:8080", "proxy/readyz"))
    except RestError as error:
        return error.message
    except ValueError:
        # It says ok, which is no JSON.
        return ""
    return ""
