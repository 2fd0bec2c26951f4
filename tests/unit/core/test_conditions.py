"""Every condition with every reason of it, and what status says."""

from __future__ import annotations

from typing import Any

import pytest

from grpcbalance.api import ConditionType, Reason, Status
from grpcbalance.assess import Assessor, remembered
from grpcbalance.conditions import observed
from grpcbalance.desired import drifted, resolve
from grpcbalance.model import Ref, WorkloadRef
from grpcbalance.names import ANNOTATION_CONTAINERS
from grpcbalance.situation import Situation
from grpcbalance.status import make_status
from tests.unit import factories as make
from tests.unit.core.snapshots import resolved_in, view_of
from tests.unit.core.test_plan import CONFIGURED_CLIENT, SAFE, SERVER

Raw = dict[str, Any]
GBS, HEADLESS, SERVING = make.gbs(), make.headless(), make.serving()
ALL = (GBS, HEADLESS, SERVING, SERVER, CONFIGURED_CLIENT)


def status_of(
    *objects: Raw, previous: Raw | None = None, now: str = "2026-01-01T00:00:00Z", refusal: str | None = None
) -> Raw:
    view, ref = view_of(*objects), Ref("shop", "orders")
    snapshot = view.snapshot(ref, refusal)
    assert snapshot.balanced is not None
    assessor = Assessor(view, make.DOMAIN)
    findings = [
        (workload, remembered(workload, finding, previous or {}))
        for workload in dict.fromkeys((*snapshot.servers, *snapshot.clients))
        for finding in assessor.decide(workload, Situation()).findings
        if finding.service == ref
    ]
    resolution = resolve(snapshot, snapshot.balanced, make.DOMAIN)
    generation = snapshot.balanced.generation
    return make_status(observed(snapshot, resolution, findings), previous or {}, generation, now)


def condition(status: Raw, kind: str) -> Raw:
    found: Raw
    (found,) = (c for c in status["conditions"] if c["type"] == kind)
    return found


def without(*kinds: str) -> list[Raw]:
    return [o for o in ALL if o["kind"] not in kinds]


FAILED = {"observedGeneration": 1, "conditions": [{"type": "Progressing", "reason": "ProgressDeadlineExceeded"}]}
EMPTY = make.endpoint_slice()
NOT_READY = make.endpoint_slice(endpoints=[make.endpoint("10.0.0.1", ready=False)])
CASES = [
    (ALL, "Ready", "True", Reason.READY),
    ([make.gbs(port="grpc")], "Ready", "False", Reason.PORT_UNRESOLVED),
    ([GBS], "Ready", "False", Reason.SERVICE_PENDING),
    ([GBS, HEADLESS], "Ready", "False", Reason.SERVICE_PENDING),
    ([GBS, HEADLESS, EMPTY], "Ready", "False", Reason.NO_ENDPOINTS),
    ([GBS, HEADLESS, SERVING], "Ready", "False", Reason.NONE_ANNOTATED),
    # Clients are other teams' business.
    ([GBS, HEADLESS, SERVING, SERVER], "Ready", "True", Reason.READY),
    (ALL, "Accepted", "True", Reason.ACCEPTED),
    ([make.gbs(client={"serviceConfig": "{"})], "Accepted", "False", Reason.INVALID_SERVICE_CONFIG),
    (ALL, "ServiceReady", "True", Reason.AS_WANTED),
    ([GBS], "ServiceReady", "False", Reason.SERVICE_PENDING),
    ([GBS, make.headless(publishNotReadyAddresses=True)], "ServiceReady", "False", Reason.SERVICE_PENDING),
    ([GBS, make.service("orders-headless")], "ServiceReady", "False", Reason.NAME_CONFLICT),
    ([GBS, make.headless(clusterIP="10.0.0.1")], "ServiceReady", "False", Reason.NOT_HEADLESS),
    ([make.gbs(port="grpc")], "ServiceReady", "Unknown", Reason.NOT_ACCEPTED),
    (ALL, "EndpointsReady", "True", Reason.ENDPOINTS_READY),
    ([GBS, HEADLESS, EMPTY], "EndpointsReady", "False", Reason.NO_ENDPOINTS),
    # What is not known is not said: the Service is not there, is somebody else's, or has no slice yet.
    ([GBS], "EndpointsReady", "Unknown", Reason.SERVICE_PENDING),
    ([GBS, make.service("orders-headless")], "EndpointsReady", "Unknown", Reason.SERVICE_PENDING),
    ([GBS, HEADLESS], "EndpointsReady", "Unknown", Reason.SERVICE_PENDING),
    ([GBS, HEADLESS, NOT_READY], "EndpointsReady", "False", Reason.NONE_READY),
    (ALL, "ServersConfigured", "True", Reason.CONFIGURED),
    ([GBS], "ServersConfigured", "False", Reason.NONE_ANNOTATED),
    ([GBS, make.server()], "ServersConfigured", "False", Reason.PENDING),
    ([GBS, SERVER | {"status": {}}], "ServersConfigured", "False", Reason.ROLLING_OUT),
    ([GBS, SERVER | {"status": FAILED}], "ServersConfigured", "False", Reason.ROLLOUT_FAILED),
    ([make.gbs(server={"mode": "Unmanaged"})], "ServersConfigured", "True", Reason.UNMANAGED),
    (ALL, "ClientsConfigured", "True", Reason.CONFIGURED),
    ([GBS], "ClientsConfigured", "False", Reason.NONE_ANNOTATED),
    ([GBS, SERVER, make.deployment(client="orders")], "ClientsConfigured", "False", Reason.TARGET_NOT_SERVING),
    ([GBS], "RolloutSafe", "Unknown", Reason.NONE_ANNOTATED),
    (ALL, "RolloutSafe", "False", Reason.UNSAFE_ROLLOUT),
    ([GBS, make.server(**SAFE)], "RolloutSafe", "True", Reason.SAFE),
]


@pytest.mark.parametrize(
    ("objects", "kind", "value", "reason"), CASES, ids=[f"{kind}-{value}-{reason}" for _, kind, value, reason in CASES]
)
def test_condition(objects: list[Raw], kind: str, value: str, reason: Reason) -> None:
    found = condition(status_of(*objects), kind)
    assert (found["status"], found["reason"]) == (value, reason)
    assert found["message"]


@pytest.mark.parametrize("objects", [[GBS], ALL, [make.gbs(port="grpc")]])
def test_every_condition_is_set_on_the_first_visit(objects: list[Raw]) -> None:
    kinds = [str(kind) for kind in ConditionType if kind is not ConditionType.XDS_ACCEPTED]
    assert [c["type"] for c in status_of(*objects)["conditions"]] == kinds


@pytest.mark.parametrize("objects", [[GBS], ALL, [make.gbs(port="grpc")]])
def test_status_is_what_the_api_describes(objects: list[Raw]) -> None:
    status = status_of(*objects)
    assert Status.model_validate(status).model_dump(by_alias=True, exclude_unset=True) == status


def test_service_refusal_is_told() -> None:
    found = condition(status_of(GBS, refusal="quota exceeded"), "ServiceReady")
    assert (found["status"], found["reason"]) == ("False", "ApiRefused")
    assert "quota exceeded" in found["message"]


def test_no_endpoints_says_what_clients_see() -> None:
    assert "NXDOMAIN" in condition(status_of(GBS, HEADLESS, EMPTY), "EndpointsReady")["message"]


def test_none_annotated_names_the_annotation() -> None:
    status = status_of(GBS)
    assert "grpcbalance.dev/server: orders" in condition(status, "ServersConfigured")["message"]
    assert "grpcbalance.dev/client: orders" in condition(status, "ClientsConfigured")["message"]


def test_message_of_several_workloads_is_about_the_one_that_needs_a_person() -> None:
    refused = make.deployment("zz", client="orders", annotations={ANNOTATION_CONTAINERS: "gone"})
    waiting = make.deployment("aa", client="orders")
    found = condition(status_of(GBS, SERVER, refused, waiting), "ClientsConfigured")
    assert found["reason"] == "ContainerNotFound"
    assert "0 of 2" in found["message"]
    assert "Deployment zz" in found["message"]


def test_transition_time_moves_only_with_status() -> None:
    first = status_of(GBS, now="2026-01-01T00:00:00Z")
    second = status_of(GBS, HEADLESS, EMPTY, previous=first, now="2026-01-02T00:00:00Z")
    assert condition(second, "ServiceReady")["lastTransitionTime"] == "2026-01-02T00:00:00Z"
    # The reason of Ready changed, its status did not.
    assert condition(second, "Ready")["reason"] != condition(first, "Ready")["reason"]
    assert condition(second, "Ready")["lastTransitionTime"] == "2026-01-01T00:00:00Z"


def test_status_of_unchanged_objects_is_equal_later() -> None:
    first = status_of(*ALL)
    assert status_of(*ALL, previous=first, now="2027-01-01T00:00:00Z") == first


def test_observed_generation_is_that_of_the_spec() -> None:
    status = status_of(make.gbs(generation=7))
    assert {status["observedGeneration"], *(c["observedGeneration"] for c in status["conditions"])} == {7}


def test_endpoint_counts_are_unique_and_complete() -> None:
    one = make.endpoint_slice(
        "one",
        endpoints=[
            make.endpoint("10.0.0.1", ready=True, zone="a"),
            make.endpoint("10.0.0.2", zone="a"),
            make.endpoint("10.0.0.3", ready=False),
            make.endpoint("10.0.0.4", ready=False, serving=True, terminating=True, zone="b"),
            make.endpoint("10.0.0.5", ready=False),
        ],
    )
    # While the controller moves an endpoint it stands in two slices.
    two = make.endpoint_slice("two", endpoints=[make.endpoint("10.0.0.5", ready=True, zone="b")])
    stale = make.endpoint_slice("old", service_name="old-headless", endpoints=[make.endpoint("10.9.9.9")])
    status = status_of(GBS, one, two, stale)
    assert status["endpoints"] == {
        "ready": 3,
        "notReady": 1,
        "terminating": 1,
        "total": 5,
        "zones": {"a": 2, "b": 1},
    }
    assert status["summary"]["endpoints"] == "3/4"


def test_more_than_a_hundred_endpoints_in_several_slices() -> None:
    slices = [
        make.endpoint_slice(f"s{s}", endpoints=[make.endpoint(f"10.{s}.0.{i}", ready=True) for i in range(100)])
        for s in range(3)
    ]
    assert status_of(GBS, *slices)["summary"]["endpoints"] == "300/300"


def test_workloads_are_listed_trouble_first_and_at_most_fifty() -> None:
    clients = [make.deployment(f"c{i:03}", client="orders") for i in range(60)]
    refused = make.deployment("zz", client="orders", annotations={ANNOTATION_CONTAINERS: "gone"})
    status = status_of(GBS, SERVER, *clients, refused)
    assert len(status["workloads"]) == 50
    assert status["omittedWorkloads"] == 12
    assert status["workloads"][0]["name"] == "zz"
    assert status["clients"] == {"matched": 61, "configured": 0, "pending": 60, "refused": 1}


def test_a_workload_of_many_containers_fits_into_status() -> None:
    # Status lists 32 of them; a longer list would make the API server refuse every status of the object.
    containers = [make.container(f"c{i}", ports=[5000]) for i in range(40)]
    status = status_of(GBS, make.server(containers=containers))
    assert Status.model_validate(status).workloads is not None


def test_foreign_workloads_are_no_part_of_status() -> None:
    foreign = make.deployment("spy", client="shop/orders", namespace="evil")
    status = status_of(*ALL, foreign)
    assert status == status_of(*ALL)


def test_rollout_of_the_users_own_changes_no_condition() -> None:
    view = view_of(*ALL)
    rolling = SERVER | {"metadata": SERVER["metadata"] | {"generation": 2, "resourceVersion": "9"}}
    view.apply("deployments", "MODIFIED", rolling)
    workload = view.workloads[WorkloadRef("Deployment", "shop", "orders")]
    (finding,) = Assessor(view, make.DOMAIN).decide(workload, Situation()).findings
    assert finding.state == "Configured"


def test_the_same_after_a_restart_in_the_middle_of_it() -> None:
    previous = status_of(*ALL)
    rolling = SERVER | {"status": {}}
    status = status_of(GBS, HEADLESS, SERVING, rolling, CONFIGURED_CLIENT, previous=previous)
    assert condition(status, "ServersConfigured")["status"] == "True"
    assert condition(status_of(GBS, rolling), "ServersConfigured")["status"] == "False"


def test_what_a_service_keeps_of_the_spec_is_no_part_of_its_readiness() -> None:
    # It is written in the same moment, and a blink of Ready would wake somebody.
    on_xds = make.gbs(discovery="XDS", allowedClients={"namespaces": {"from": "All"}})
    assert drifted(make.observed_service(HEADLESS), make.balanced(on_xds), resolved_in(on_xds, SERVER))
    found = condition(status_of(on_xds, HEADLESS, SERVING, SERVER), "ServiceReady")
    assert (found["status"], found["reason"]) == ("True", "AsWanted")
