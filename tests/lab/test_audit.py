"""Lines of the audit log become records: who wrote what, once, and since when."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from lab import audit


def event(number: int, verb: str = "patch", code: int = 200, stage: str = "ResponseComplete") -> str:
    return (
        json.dumps(
            {
                "auditID": f"id-{number}",
                "stage": stage,
                "requestReceivedTimestamp": f"2026-11-24T10:00:{number:02d}.250000Z",
                "verb": verb,
                "user": {"username": "jane"},
                "userAgent": "tests/1",
                "requestURI": "/apis/apps/v1/namespaces/shop/deployments/orders/status?fieldManager=x",
                "responseStatus": {"code": code},
                "objectRef": {
                    "apiGroup": "apps",
                    "resource": "deployments",
                    "subresource": "status",
                    "namespace": "shop",
                    "name": "orders",
                },
            }
        )
        + "\n"
    )


def test_an_audit_line_becomes_a_record() -> None:
    (record,) = audit.records([event(7)])
    assert record == audit.AuditRecord(
        time=datetime(2026, 11, 24, 10, 0, 7, 250000, tzinfo=UTC),
        user="jane",
        user_agent="tests/1",
        verb="patch",
        group="apps",
        resource="deployments",
        subresource="status",
        namespace="shop",
        name="orders",
        code=200,
        uri="/apis/apps/v1/namespaces/shop/deployments/orders/status?fieldManager=x",
    )


def test_a_long_request_counts_once_and_a_line_being_written_not_at_all() -> None:
    lines = [
        event(1, "watch", stage="ResponseStarted"),
        event(2, "watch", code=403),
        event(1, "watch"),
        event(3)[:-20],
    ]
    assert [(record.verb, record.code) for record in audit.records(lines)] == [("watch", 200), ("watch", 403)]


def test_records_since_and_requests_for_no_resource() -> None:
    plain = json.dumps(
        {
            "auditID": "x",
            "stage": "Panic",
            "requestReceivedTimestamp": "2026-11-24T10:00:09.000000Z",
            "verb": "get",
            "requestURI": "/readyz",
        }
    )
    found = list(audit.records([event(1), event(8), plain + "\n"], datetime(2026, 11, 24, 10, 0, 8, tzinfo=UTC)))
    assert [(record.uri[:7], record.resource, record.code, record.user) for record in found] == [
        ("/apis/a", "deployments", 200, "jane"),
        ("/readyz", "", 0, ""),
    ]


def test_writes_are_those_that_one_user_got_through() -> None:
    lines = [event(1), event(2, "get"), event(3, code=409), event(4, "delete"), event(5).replace("jane", "joe")]
    assert [record.verb for record in audit.written_by("jane", lines)] == ["patch", "delete"]
    assert [record.user for record in audit.written_by("joe", lines)] == ["joe"]


def test_a_question_is_no_write_and_what_is_forbidden_is_told_from_what_admission_denies() -> None:
    line = json.loads(event(1, verb="create", code=201))
    line["objectRef"] |= {"resource": "selfsubjectaccessreviews", "subresource": ""}
    line["annotations"] = {"authorization.k8s.io/decision": "allow"}
    (asked,) = audit.records([json.dumps(line) + "\n"])
    assert not asked.wrote
    line["annotations"] = {"authorization.k8s.io/decision": "forbid"}
    (forbidden,) = audit.records([json.dumps(line) + "\n"])
    assert (asked.forbidden, forbidden.forbidden) == (False, True)
