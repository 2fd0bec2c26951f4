"""What the messages of true conditions tell people to mind, and which servers a rollout may replace."""

from __future__ import annotations

from typing import Any

import pytest

from grpcbalance.observe_workload import workload
from grpcbalance.safety import cautions, is_safe, remedy
from tests.unit import factories as make
from tests.unit.core.test_conditions import ALL, EMPTY, HEADLESS, condition, status_of

Raw = dict[str, Any]


def accepted(gbs: Raw, *objects: Raw) -> str:
    found = condition(status_of(gbs, make.server(), *objects), "Accepted")
    assert found["status"] == "True", found
    return str(found["message"])


def spec(**more: Any) -> Raw:
    return make.gbs(**more)


PINGS = {"keepalive": {"time": "30s"}}
MINDED = [
    (spec(server={"maxConnectionAge": "5s"}), "below the 10s"),
    (spec(server={"maxConnectionAge": "20s"}, client={"minResolutionInterval": "Off"}), "below the 30s"),
    (spec(server={"maxConnectionAge": "Off"}), "maxConnectionAge is Off"),
    (spec(client=PINGS), "too_many_pings"),
    (spec(client=PINGS, server={"keepalive": {"minClientInterval": "30s"}}), "not above what servers permit, 30s"),
    (
        spec(client={"keepalive": {"time": "6m", "permitWithoutCalls": True}}, server={"keepalive": {}}),
        "permitWithoutCalls: true",
    ),
]
QUIET = [
    spec(),
    spec(server={"maxConnectionAge": "10s"}),
    spec(client={"keepalive": {"timeout": "5s", "permitWithoutCalls": True}}),
    spec(client=PINGS, server={"keepalive": {"minClientInterval": "20s"}}),
    spec(client={"keepalive": {"time": "6m"}}),
    # What the servers have is not known.
    spec(client=PINGS, server={"mode": "Unmanaged", "maxConnectionAge": "1s"}),
]


@pytest.mark.parametrize(("gbs", "text"), MINDED, ids=[text for _, text in MINDED])
def test_accepted_with_something_to_mind(gbs: Raw, text: str) -> None:
    assert text in accepted(gbs)


@pytest.mark.parametrize("gbs", QUIET, ids=[str(gbs["spec"]) for gbs in QUIET])
def test_accepted_with_nothing_to_mind(gbs: Raw) -> None:
    assert accepted(gbs) == "the spec is accepted"


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"publishNotReadyAddresses": True}, "publishNotReadyAddresses"),
        ({"ipFamilyPolicy": "PreferDualStack"}, "one IP family"),
        ({"ipFamilyPolicy": "SingleStack"}, None),
    ],
)
def test_referenced_service(fields: Raw, text: str | None) -> None:
    gbs = spec(selector=None, port=None, serviceRef={"name": "orders"})
    told = accepted(gbs, make.service(**fields))
    assert text in told if text else told == "the spec is accepted"


def test_servers_scaled_to_zero() -> None:
    scaled_in = condition(status_of(make.gbs(), HEADLESS, EMPTY, make.server(replicas=0)), "EndpointsReady")["message"]
    assert "the annotated servers have no replicas" in scaled_in
    assert "two minutes" in scaled_in
    assert (
        "no pod matches"
        in condition(status_of(make.gbs(), HEADLESS, EMPTY, make.server()), "EndpointsReady")["message"]
    )


def sleeping(seconds: int, **more: Any) -> Raw:
    container = make.container(ports=[5000], lifecycle={"preStop": {"sleep": {"seconds": seconds}}})
    return make.server(containers=[container], pod={"terminationGracePeriodSeconds": 600}, **more)


@pytest.mark.parametrize(
    ("gbs", "server", "needed"),
    [
        # 1.1 x 300 s and 35 s.
        (spec(), make.server(minReadySeconds=35), 365),
        (spec(), sleeping(364), 365),
        (spec(), sleeping(365), None),
        (spec(server={"maxConnectionAge": "1m"}), sleeping(40), 101),
        (spec(server={"maxConnectionAge": "Off"}), sleeping(40), None),
        (spec(server={"mode": "Unmanaged"}), sleeping(40), None),
    ],
)
def test_safe_rollouts_of_servers_on_c_core(gbs: Raw, server: Raw, needed: int | None) -> None:
    found = condition(status_of(gbs, server), "RolloutSafe")
    assert found["status"] == "True"
    assert ("C-core" in found["message"]) == (needed is not None)
    if needed is not None:
        assert f"preStop.sleep.seconds: {needed} with terminationGracePeriodSeconds: {needed + 30}" in found["message"]


def test_unsafe_names_both_fields_and_their_values() -> None:
    text = condition(status_of(*ALL), "RolloutSafe")["message"]
    assert "spec.minReadySeconds: 35" in text
    assert "lifecycle.preStop.sleep.seconds: 35 with terminationGracePeriodSeconds: 65" in text


def other(kind: str, **spec: Any) -> Raw:
    """A server of another kind: its spec is the Deployment's with other fields."""
    made = make.server(**spec)
    return {**made, "kind": kind}


def daemon(nodes: int, **spec: Any) -> Raw:
    return {**other("DaemonSet", **spec), "status": {"observedGeneration": 1, "desiredNumberScheduled": nodes}}


def rolling(**fields: Any) -> Raw:
    return {"updateStrategy": {"rollingUpdate": fields}, "minReadySeconds": 35}


def cron_job() -> Raw:
    made = make.server()
    return {**made, "kind": "CronJob", "spec": {"jobTemplate": {"spec": {"template": made["spec"]["template"]}}}}


KINDS = [
    ("one pod of a StatefulSet", other("StatefulSet", replicas=1, minReadySeconds=35), False),
    ("a StatefulSet, one after the other", other("StatefulSet", replicas=2, minReadySeconds=35), True),
    ("a StatefulSet too fast", other("StatefulSet", replicas=2), False),
    ("a StatefulSet all at once", other("StatefulSet", replicas=2, **rolling(maxUnavailable=2)), False),
    ("a DaemonSet", daemon(3, minReadySeconds=35), True),
    ("a DaemonSet too fast", daemon(3), False),
    ("a DaemonSet on one node", daemon(1, minReadySeconds=35), False),
    ("a DaemonSet on one node that surges", daemon(1, **rolling(maxSurge=1, maxUnavailable=0)), True),
    ("a DaemonSet all at once", daemon(2, **rolling(maxUnavailable="100%")), False),
    ("a CronJob, of which no pod is replaced", cron_job(), True),
]


@pytest.mark.parametrize(("raw", "expected"), [case[1:] for case in KINDS], ids=[case[0] for case in KINDS])
def test_safety_of_kinds(raw: Raw, expected: bool) -> None:
    found = workload(raw["kind"], raw)
    assert found is not None
    assert is_safe(found) is expected


def test_one_pod_of_a_daemon_set_is_made_safe_by_surging() -> None:
    found = workload("DaemonSet", daemon(1))
    assert found is not None
    assert "maxSurge: 1" in remedy(found)
    assert "minReadySeconds: 35" in remedy(found)


def test_pods_that_people_replace_need_patience() -> None:
    on_delete = workload("StatefulSet", other("StatefulSet", replicas=2, updateStrategy={"type": "OnDelete"}))
    paced = workload("StatefulSet", other("StatefulSet", replicas=2))
    assert on_delete is not None
    assert paced is not None
    (told,) = cautions([paced, on_delete], None)
    assert "StatefulSet orders are replaced by hand" in told
    assert list(cautions([paced], None)) == []
