"""What a stored status tells of workloads, also of those for which it has no room."""

from __future__ import annotations

from typing import Any

import pytest

from grpcbalance.model import Role, WorkloadRef
from grpcbalance.told import was_configured

CHECKOUT = WorkloadRef("Deployment", "shop", "checkout")


def status(*listed: tuple[str, str, str], omitted: int = 0) -> dict[str, Any]:
    """A status that lists Deployments by name, role and state."""
    workloads = [{"kind": "Deployment", "name": n, "role": role, "state": state} for n, role, state in listed]
    return {"workloads": workloads} | ({"omittedWorkloads": omitted} if omitted else {})


WELL = ("checkout", "Client", "Configured")
ILL = ("checkout", "Server", "Pending")
OTHER_WELL, OTHER_ILL = ("other", "Client", "Configured"), ("other", "Client", "Refused")


@pytest.mark.parametrize(
    ("told", "role", "expected"),
    [
        (status(), None, False),
        (status(WELL), None, True),
        (status(WELL), Role.CLIENT, True),
        (status(WELL), Role.SERVER, False),
        (status(ILL, WELL), None, True),
        (status(ILL, WELL), Role.SERVER, False),
        (status(OTHER_WELL), None, False),
        (status(OTHER_WELL, omitted=1), None, True),
        (status(OTHER_ILL, omitted=1), None, False),
        (status(ILL, OTHER_WELL, omitted=1), Role.SERVER, False),
        ({}, None, False),
    ],
)
def test_who_is_told_to_be_configured(told: dict[str, Any], role: Role | None, expected: bool) -> None:
    assert was_configured(told, "shop", CHECKOUT, role) is expected


def test_of_another_namespace_nothing_is_told() -> None:
    abroad = CHECKOUT._replace(namespace="bank")
    assert not was_configured(status(WELL, omitted=5), "shop", abroad)
    assert not was_configured(status(WELL), "shop", CHECKOUT._replace(kind="StatefulSet"))
