"""Least privilege, judged over the whole run: nothing was forbidden, and nothing is permitted that was not used."""

from __future__ import annotations

import pytest

from lab import Cluster, Lab
from lab.rest import Rest, path
from tests.kit.operator import ACCOUNT

pytestmark = [pytest.mark.cluster, pytest.mark.needs_lab]


@pytest.fixture
def lab(cluster: Cluster) -> Lab:
    """The session's cluster, which has to be a lab: its audit log is looked at."""
    assert isinstance(cluster, Lab), "this test needs the lab: it reads the audit log"
    return cluster


def test_the_operator_was_never_forbidden_anything(lab: Lab, api: Rest) -> None:
    asked = [record for record in lab.audit() if record.user == ACCOUNT]
    assert asked, f"{ACCOUNT} does not occur in the audit log"
    # Creating in a namespace that is being deleted is forbidden to everybody; tests delete theirs at their end.
    alive = {n["metadata"]["name"] for n in api.items(path("v1", "namespaces")) if n["status"]["phase"] == "Active"}
    refused = [r for r in asked if r.code == 403 and not (r.verb == "create" and r.namespace not in alive)]
    assert [str(record) for record in refused] == []


def test_every_permission_was_used(lab: Lab, api: Rest) -> None:
    role = api.get(path("rbac.authorization.k8s.io/v1", "clusterroles", "", "grpcbalance-operator"))
    granted = {
        (group, resource, verb)
        for rule in role["rules"]
        for group in rule.get("apiGroups", [])
        for resource in rule.get("resources", [])
        for verb in rule["verbs"]
    }
    used = {(record.group, record.full_resource, record.verb) for record in lab.audit() if record.user == ACCOUNT}
    assert granted
    assert sorted(granted - used) == []
