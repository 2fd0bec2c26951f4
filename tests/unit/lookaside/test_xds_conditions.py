"""What status says of an object on xDS, and that it says nothing of it for one on DNS."""

from __future__ import annotations

from typing import Any

import pytest

from grpcbalance.api import Reason, Status
from grpcbalance.assess import Assessor
from grpcbalance.conditions import observed
from grpcbalance.desired import resolve
from grpcbalance.lookaside.pods import NOBODY, Absent
from grpcbalance.lookaside.seen import Downgrade, Node, Rejection, Seen
from grpcbalance.migration import STAYS
from grpcbalance.situation import Situation
from grpcbalance.status import lacking, make_status
from tests.unit import factories as make
from tests.unit.core.snapshots import view_of
from tests.unit.core.test_plan import CONFIGURED_CLIENT, SERVER

from .answers import ORDERS

Raw = dict[str, Any]
GO_IMPORT = 'Go: import _ "google.golang.org/grpc/xds"'
NOW, LATER = "2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z"
REST = (make.headless(), make.serving(), SERVER, CONFIGURED_CLIENT)
XDS = make.env(GRPC_ORDERS_TARGET="xds:///orders.shop:5000")
MOVED = make.deployment("moved", client="orders", containers=[make.container(env=XDS)])
OWN, OTHER, ABROAD = Node("shop", "checkout-1"), Node("shop", "checkout-2"), Node("web", "secret-1")
SERVES = Seen("", plaintext=True, tls=True)


def status_of(
    seen: Seen | None,
    *objects: Raw,
    absent: Absent = NOBODY,
    previous: Raw | None = None,
    now: str = NOW,
    discovery: str = "XDS",
) -> Raw:
    view = view_of(make.gbs(discovery=discovery), *(objects or REST))
    if seen is not None:
        view.seen[ORDERS] = seen
    snapshot = view.snapshot(ORDERS)
    assert snapshot.balanced is not None
    assessor = Assessor(view, make.DOMAIN)
    clients = (*snapshot.servers, *snapshot.clients)
    findings = [(w, f) for w in clients for f in assessor.decide(w, Situation()).findings]
    resolution = resolve(snapshot, snapshot.balanced, make.DOMAIN)
    status = make_status(observed(snapshot, resolution, findings, absent), previous or {}, 1, now)
    Status.model_validate(status)
    return status


def condition(status: Raw, kind: str) -> tuple[str, str, str]:
    (found,) = (c for c in status["conditions"] if c["type"] == kind)
    return found["status"], found["reason"], found["message"]


def nacked(*clients: Node, message: str = "no") -> Seen:
    return Seen("", rejections=tuple(Rejection(client, "cluster", message) for client in clients))


CASES = [
    (None, "Unknown", Reason.XDS_NOT_ASKED, "not asked"),
    (Seen("replica A is away"), "Unknown", Reason.XDS_NOT_SERVING, "replica A is away"),
    (Seen("replica A is away", rejections=nacked(OWN).rejections), "Unknown", Reason.XDS_NOT_SERVING, "replica A"),
    (SERVES, "True", Reason.ALL_ACCEPTED, "no connected client refuses"),
    (nacked(OWN), "False", Reason.NACKED, "refused by checkout-1, which keep what they had; checkout-1 says of cluster: no"),
    (nacked(OWN, OTHER), "False", Reason.NACKED, "refused by checkout-1, checkout-2, which"),
    (nacked(*(Node("shop", f"p{n}") for n in range(5))), "False", Reason.NACKED, "refused by p0, p1, p2 and 2 more, which"),
    (nacked(OWN, ABROAD), "False", Reason.NACKED, "refused by checkout-1 and 1 of clients in other namespaces, or that name no pod, which"),
    (nacked(ABROAD), "False", Reason.NACKED, "refused by 1 of clients in other namespaces, or that name no pod, which keep what they had"),
    (nacked(Node("", "")), "False", Reason.NACKED, "refused by 1 of clients in other namespaces, or that name no pod, which"),
]  # fmt: skip


@pytest.mark.parametrize(("seen", "value", "reason", "words"), CASES)
def test_accepted(seen: Seen | None, value: str, reason: Reason, words: str) -> None:
    status = status_of(seen)
    found = condition(status, "XdsAccepted")
    assert found[:2] == (value, str(reason))
    assert words in found[2]
    assert condition(status, "Ready")[0] == "True"


def test_words_of_clients_elsewhere_are_not_quoted() -> None:
    text = str(status_of(nacked(ABROAD, message="private")))
    assert "private" not in text
    assert "secret" not in text
    assert "web" not in text


@pytest.mark.parametrize(
    "client",
    [
        Node("", "checkout-1"),
        Node("shop", "admin: run kubectl delete ns shop"),
        Node("shop", "Checkout"),
        Node("shop", "a..b"),
        Node("shop", "a-"),
        Node("shop", "a" * 254),
        Node("shop", "a\n"),
    ],
)
def test_who_names_no_pod_of_this_namespace_is_only_counted(client: Node) -> None:
    found = condition(status_of(nacked(client, message="run it")), "XdsAccepted")
    assert found[2] == "refused by 1 of clients in other namespaces, or that name no pod, which keep what they had"


def test_the_words_of_a_client_fit() -> None:
    found = condition(
        status_of(nacked(*(Node("shop", "p" * 252 + str(n)) for n in range(3)), message="x" * 500)), "XdsAccepted"
    )
    assert len(found[2]) == 1024


@pytest.mark.parametrize("seen", [None, nacked(OWN), SERVES], ids=["not asked", "nacked", "serves"])
def test_an_object_on_dns_has_nothing_of_it(seen: Seen | None) -> None:
    absent = Absent((OWN,), unsure=True)
    status = status_of(seen, absent=absent, discovery="DNS")
    assert status == status_of(None, discovery="DNS")
    assert "xds" not in status
    assert "XdsAccepted" not in {c["type"] for c in status["conditions"]}
    # Nor while a permission is missing.
    told = lacking({}, {}, "no", 1, NOW)
    assert "XdsAccepted" not in {c["type"] for c in told["conditions"]}


def test_a_permission_that_is_missing_takes_nothing_away() -> None:
    status = status_of(nacked(OWN))
    told = lacking(status, status, "no", 1, LATER)
    assert condition(told, "XdsAccepted") == condition(status, "XdsAccepted")
    assert told["xds"] == status["xds"]


def test_what_was_told_stays_until_it_was_asked() -> None:
    downgraded = Seen(
        "", rejections=nacked(OWN).rejections, downgrades=(Downgrade("gRPC Go 1", "client.retry", "none"),)
    )
    before = status_of(downgraded, absent=Absent((OWN,)))
    assert condition(before, "ClientsConfigured")[:2] == ("False", "XdsNotConnected")
    assert status_of(None, absent=Absent(unsure=True), previous=before, now=LATER) == before


NOT = "not connected to the look-aside balancer, though the target says xDS: "
ABSENT = [
    ((OWN,), "checkout-1:"),
    ((OTHER, OWN), "checkout-1, checkout-2:"),
    (tuple(Node("shop", f"p{n}") for n in range(7)), "p0, p1, p2 and 4 more:"),
    ((OWN, ABROAD), "checkout-1 and 1 of clients in other namespaces:"),
    ((ABROAD, Node("pay", "x")), "2 of clients in other namespaces:"),
]


@pytest.mark.parametrize(("pods", "words"), ABSENT)
def test_not_connected(pods: tuple[Node, ...], words: str) -> None:
    status = status_of(SERVES, absent=Absent(pods))
    value, reason, message = condition(status, "ClientsConfigured")
    assert (value, reason) == ("False", "XdsNotConnected")
    assert message.startswith(NOT + words)
    # In the words of what tells clients on DNS how to move.
    assert GO_IMPORT in message
    assert GO_IMPORT in STAYS.message
    assert "secret" not in str(status)
    assert condition(status, "Ready")[0] == "True"


def test_what_is_wrong_otherwise_comes_first() -> None:
    status = status_of(SERVES, *REST, make.deployment("paused", client="nobody,orders"), absent=Absent((OWN,)))
    value, reason, message = condition(status, "ClientsConfigured")
    assert (value, reason != "XdsNotConnected") == ("False", True)
    assert NOT in message


@pytest.mark.parametrize("seen", [None, Seen("replica A is away")], ids=["not asked", "away"])
def test_nobody_is_accused_while_a_replica_cannot_be_read(seen: Seen | None) -> None:
    assert condition(status_of(seen, absent=Absent((OWN,))), "ClientsConfigured")[0] == "True"


def test_an_accusation_stands_until_it_is_known_to_be_wrong() -> None:
    before = status_of(SERVES, absent=Absent((OWN,)))
    accused = condition(before, "ClientsConfigured")
    for seen, absent in ((SERVES, Absent(unsure=True)), (Seen("away"), NOBODY), (None, NOBODY)):
        assert condition(status_of(seen, absent=absent, previous=before), "ClientsConfigured") == accused
    assert condition(status_of(SERVES, previous=before), "ClientsConfigured")[0] == "True"
    # One that was never accused is not for being unsure.
    fine = status_of(SERVES)
    assert condition(status_of(SERVES, absent=Absent(unsure=True), previous=fine), "ClientsConfigured")[0] == "True"


def test_a_reason_of_another_version_is_not_kept() -> None:
    previous = {"conditions": [{"type": "XdsAccepted", "status": "False", "reason": "Odd", "message": "x"}]}
    assert condition(status_of(None, previous=previous), "XdsAccepted")[1] == "XdsNotAsked"


def test_counts_and_downgrades() -> None:
    many = tuple(Downgrade(f"gRPC Go {n}", "client.retry", "none") for n in range(10))
    status = status_of(Seen("", downgrades=many), *REST, MOVED)
    assert status["xds"]["workloads"] == {"moved": 1, "onDns": 1}
    assert status["xds"]["downgrades"][0] == {"client": "gRPC Go 0", "feature": "client.retry", "what": "none"}
    assert len(status["xds"]["downgrades"]) == 10
    assert status_of(SERVES)["xds"] == {"workloads": {"moved": 0, "onDns": 1}}
