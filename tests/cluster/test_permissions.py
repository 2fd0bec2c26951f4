"""Least privilege, judged over the whole run: nothing was forbidden, and nothing is permitted that was not used."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import Cluster, Lab
from lab.audit import AuditRecord
from lab.rest import Rest, RestError, path
from tests.kit import objects
from tests.kit.accounts import as_operator
from tests.kit.operator import ACCOUNT
from tests.kit.shop import Shop

pytestmark = [pytest.mark.cluster, pytest.mark.needs_lab]

# The API server notes with a request that a policy which is bound with the action Audit denied it.
DENIED = "validation.policy.admission.k8s.io/validation_failure"


@pytest.fixture
def lab(cluster: Cluster) -> Lab:
    """The session's cluster, which has to be a lab: its audit log is looked at."""
    assert isinstance(cluster, Lab), "this test needs the lab: it reads the audit log"
    return cluster


def asked(lab: Lab) -> Iterator[AuditRecord]:
    """What the operator itself asked for; tests have its token as well."""
    return (r for r in lab.audit() if r.user == ACCOUNT and not r.user_agent.startswith("grpcbalance-tests"))


def test_the_operator_was_never_forbidden_anything(lab: Lab) -> None:
    found = list(asked(lab))
    assert found, f"{ACCOUNT} does not occur in the audit log"
    assert [str(record) for record in found if record.forbidden] == []


def test_every_permission_was_used(lab: Lab, api: Rest) -> None:
    role = api.get(path("rbac.authorization.k8s.io/v1", "clusterroles", "", "grpcbalance-operator"))
    granted = {
        (group, resource, verb)
        for rule in role["rules"]
        for group in rule.get("apiGroups", [])
        for resource in rule.get("resources", [])
        for verb in rule["verbs"]
    }
    used = {(record.group, record.full_resource, record.verb) for record in asked(lab)}
    assert granted
    assert sorted(granted - used) == []


def test_our_policy_never_stood_in_our_own_way(lab: Lab, shop: Shop, tmp_path: Path) -> None:
    def denied(tests: bool) -> list[AuditRecord]:
        found = (r for r in lab.audit() if r.user == ACCOUNT and "grpcbalance-" in r.annotations.get(DENIED, ""))
        return [r for r in found if r.user_agent.startswith("grpcbalance-tests") == tests]

    shop.create(objects.idle("any"))
    # That the audit log would tell.
    with as_operator(lab, shop.api, tmp_path) as thief, pytest.raises(RestError, match="grpcbalance-workloads"):
        thief.merge(shop.url("Deployment", "any"), {"spec": {"replicas": 5}})
    deadline = time.monotonic() + 30
    while not denied(tests=True):
        assert time.monotonic() < deadline, "the audit log does not tell of a denied request"
        time.sleep(0.2)
    assert [str(record) for record in denied(tests=False)] == []
