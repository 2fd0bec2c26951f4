"""The CRD as a real API server takes it: what it refuses and how it says so, what it stores, what kubectl shows."""

from __future__ import annotations

import copy
import functools
import json
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from grpcbalance.api import MAX_WORKLOADS
from grpcbalance.crd import PRINTER_COLUMNS, custom_resource_definition
from lab import Cluster, LabError
from lab.rest import Object, Rest, RestError, path

pytestmark = pytest.mark.cluster

DATA = Path(__file__).parent / "invalid"
CRDS = path("apiextensions.k8s.io/v1", "customresourcedefinitions")
NAME = "grpcbalancedservices.grpcbalance.dev"
# The same types under a group that no operator watches: for tests that write status or change the CRD.
TWIN_GROUP = "twin.example.org"
TWIN = path(f"{TWIN_GROUP}/v1alpha1", "grpcbalancedservices", "default")
OBJECT_BYTES = 64 * 1024


def _cases(file: str) -> list[Any]:
    cases: list[Object] = yaml.safe_load((DATA / file).read_text())
    return [pytest.param(case, id=case["id"]) for case in cases]


def _object(case: Mapping[str, Any], api_version: str = "grpcbalance.dev/v1alpha1") -> Object:
    made: Object = {
        "apiVersion": api_version,
        "kind": "GrpcBalancedService",
        "metadata": {"name": case.get("name", "orders")},
    }
    if "with" in case:
        made["spec"] = {"selector": {"app": "orders"}, "port": 5000, **case["with"]}
    elif "spec" in case:
        made["spec"] = case["spec"]
    return made


def _dry_run(cluster: Cluster, text: str) -> str:
    return cluster.kubectl("create", "--dry-run=server", "-n", "default", "-o", "json", "-f", "-", stdin=text)


def _at(value: Any, dotted: str) -> Any:
    return functools.reduce(lambda found, key: (found or {}).get(key), dotted.split("."), value)


def test_there_are_enough_cases() -> None:
    assert len(_cases("refused.yaml")) >= 45
    assert len({case.id for case in _cases("refused.yaml")}) == len(_cases("refused.yaml"))


@pytest.mark.parametrize("case", _cases("refused.yaml"))
def test_refused(cluster: Cluster, case: Object) -> None:
    with pytest.raises(LabError) as refusal:
        _dry_run(cluster, json.dumps(_object(case)))
    said = str(refusal.value)
    assert [words for words in case["says"] if words not in said] == [], said
    assert "evaluating rule" not in said, "a rule must not fail over what another one refuses"


@pytest.mark.parametrize("case", _cases("accepted.yaml"))
def test_accepted_and_stored(cluster: Cluster, case: Object) -> None:
    spec = json.loads(_dry_run(cluster, json.dumps(_object(case))))["spec"]
    assert {dotted: _at(spec, dotted) for dotted in case["stored"]} == case["stored"]


@pytest.mark.parametrize(
    ("field", "written"),
    [
        ("spec.server.maxConnectionAge", "server: {maxConnectionAge: Off}"),
        ("spec.client.retry.mode", "client: {retry: {mode: Off}}"),
    ],
)
def test_off_without_quotes_is_refused_and_the_field_named(cluster: Cluster, field: str, written: str) -> None:
    text = f"""
apiVersion: grpcbalance.dev/v1alpha1
kind: GrpcBalancedService
metadata: {{name: orders}}
spec: {{selector: {{app: orders}}, port: 5000, {written}}}
"""
    with pytest.raises(LabError, match=f'{field}.* must be of type string: "boolean"'):
        _dry_run(cluster, text)


def test_established_and_structural(cluster: Cluster, api: Rest) -> None:
    assert cluster.kubectl("get", "crd", NAME, "-o", "name").strip().endswith(NAME)
    conditions = {each["type"]: each["status"] for each in api.get(f"{CRDS}/{NAME}")["status"]["conditions"]}
    assert (conditions["Established"], conditions["NamesAccepted"]) == ("True", "True")
    assert "NonStructuralSchema" not in conditions


def test_explain(cluster: Cluster) -> None:
    golden = DATA / "explain.txt"
    said = cluster.kubectl("explain", "gbs.spec", "--recursive", "--api-version=grpcbalance.dev/v1alpha1")
    again = f"kubectl explain gbs.spec --recursive --api-version=grpcbalance.dev/v1alpha1 | sed 's/ *$//' > {golden}"
    shown = [line.rstrip() for line in said.strip().splitlines()]
    assert shown == golden.read_text().splitlines(), f"if that is wanted: {again}"


def _twin_crd() -> Object:
    crd = copy.deepcopy(custom_resource_definition())
    crd["metadata"]["name"] = f"grpcbalancedservices.{TWIN_GROUP}"
    crd["spec"]["group"] = TWIN_GROUP
    # A short name means one kind only; ours is not to be taken away from the real one.
    del crd["spec"]["names"]["shortNames"]
    return crd


def _older_crd() -> Object:
    """An earlier release: a field that is gone by now, one fewer default, and no rule against short ages."""
    crd = _twin_crd()
    spec = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    spec["properties"]["legacy"] = {"type": "string"}
    del spec["properties"]["client"]["properties"]["minResolutionInterval"]["default"]
    del spec["properties"]["server"]["properties"]["maxConnectionAge"]["x-kubernetes-validations"]
    return crd


def _served_with(api: Rest, crd: Object) -> None:
    """Apply a CRD and wait until the API server has it in use."""
    url = f"{CRDS}/{crd['metadata']['name']}"
    applied = api.apply(url, crd)
    generation = applied["metadata"]["generation"]

    def established(seen: Object) -> bool:
        conditions = {each["type"]: each["status"] for each in seen.get("status", {}).get("conditions") or ()}
        return seen["metadata"]["generation"] >= generation and conditions.get("Established") == "True"

    api.wait(url, established, within=30, what="CRD established")


@pytest.fixture
def twin(api: Rest) -> Iterator[None]:
    """A CRD of the test's own, first in its older form; it is deleted afterwards."""
    _served_with(api, _older_crd())
    yield
    url = f"{CRDS}/grpcbalancedservices.{TWIN_GROUP}"
    api.delete(url)
    api.wait(url, lambda _: False, within=30, what="CRD gone", missing=True)


def _until(ask: Callable[[], Object | None], what: str, within: float = 30.0) -> Object:
    """Ask until there is an answer. A new schema moves no object, so there is no event to wait for."""
    deadline = time.monotonic() + within
    while (answer := ask()) is None:
        assert time.monotonic() < deadline, f"{what}: not within {within:g} s"
        time.sleep(0.1)
    return answer


def _create(api: Rest, name: str, spec: Object) -> str:
    """Create an object of the twin as soon as the API server serves it; its URL."""
    body = _object({"name": name, "with": spec}, f"{TWIN_GROUP}/v1alpha1")

    def created() -> Object | None:
        try:
            return api.create(TWIN, body)
        except RestError as error:
            # Established comes a moment before the kind is served.
            if error.code == 404:
                return None
            raise

    _until(created, "kind served")
    return f"{TWIN}/{name}"


@pytest.mark.usefixtures("twin")
def test_an_object_stored_by_an_older_release_stays_usable(api: Rest) -> None:
    url = _create(api, "older", {"legacy": "x", "server": {"maxConnectionAge": "100ms"}})
    assert api.get(url)["spec"]["legacy"] == "x"
    assert "minResolutionInterval" not in api.get(url)["spec"]["client"]

    _served_with(api, _twin_crd())

    def filled() -> Object | None:
        seen: Object = api.get(url)["spec"]
        return seen if "minResolutionInterval" in seen["client"] and "legacy" not in seen else None

    spec = _until(filled, "new schema in use")
    assert (spec["client"]["minResolutionInterval"], spec["server"]["maxConnectionAge"]) == ("10s", "100ms")
    # What is refused by now may stay as long as nobody touches it.
    changed = api.merge(url, {"metadata": {"labels": {"team": "a"}}, "spec": {"rollout": {"allowUnsafe": True}}})
    assert changed["spec"]["rollout"] == {"allowUnsafe": True}
    assert "legacy" not in changed["spec"]
    written = api.merge(f"{url}/status", {"status": {"target": "dns:///x:1"}})
    assert written["status"]["target"] == "dns:///x:1"
    assert written["spec"] == changed["spec"]


def _status(message: str) -> Object:
    conditions = ("Ready", "Accepted", "ServiceReady", "EndpointsReady", "ServersConfigured", "ClientsConfigured")
    moved = {"observedGeneration": 1, "lastTransitionTime": "2026-01-01T00:00:00Z"}
    counts = {"matched": 1, "configured": 1, "pending": 0, "refused": 0}
    return {
        "observedGeneration": 1,
        "target": "dns:///orders-headless.shop.svc.cluster.local.:5000",
        "serviceConfig": '{"loadBalancingConfig":[{"round_robin":{}}]}',
        "port": 5000,
        "summary": {"endpoints": "3/3", "servers": "1/1", "clients": "1/2"},
        "endpoints": {"ready": 3, "notReady": 0, "terminating": 0, "total": 3, "zones": {"a": 2, "b": 1}},
        "servers": counts,
        "clients": counts,
        "conditions": [
            {"type": kind, "status": "True", "reason": "AsWanted", "message": message, **moved} for kind in conditions
        ],
    }


@pytest.mark.usefixtures("twin")
def test_printer_columns(cluster: Cluster, api: Rest) -> None:
    _served_with(api, _twin_crd())
    url = _create(api, "shown", {})
    api.merge(f"{url}/status", {"status": _status("fine")})
    head, row = cluster.kubectl("get", f"grpcbalancedservices.{TWIN_GROUP}", "shown", "-o", "wide").splitlines()
    # AGE is the last column of the narrow form and stays in place in the wide one.
    assert head.split() == ["NAME", *(column["name"].upper() for column in PRINTER_COLUMNS)]
    assert row.split()[:-1] == [
        "shown", "True", "3/3", "1/1", "1/2", "dns:///orders-headless.shop.svc.cluster.local.:5000", "AsWanted",
    ]  # fmt: skip
    narrow = cluster.kubectl("get", f"grpcbalancedservices.{TWIN_GROUP}", "shown").splitlines()[0]
    assert "REASON" not in narrow


@pytest.mark.usefixtures("twin")
def test_a_large_object_is_stored_in_64_kib(api: Rest) -> None:
    _served_with(api, _twin_crd())
    url = _create(api, "large", {"client": {"serviceConfig": _large_config(12_000)}})
    status = _status("m" * 200)
    status["serviceConfig"] = _large_config(12_000)
    status["workloads"] = [
        {
            "kind": "Deployment",
            "name": f"workload-{number:02d}-".ljust(40, "x"),
            "role": "Client",
            "containers": ["app"],
            "state": "Refused",
            "reason": "EnvConflict",
            "message": "m" * 200,
        }
        for number in range(MAX_WORKLOADS)
    ]
    stored = api.merge(f"{url}/status", {"status": status})
    assert len(stored["status"]["workloads"]) == MAX_WORKLOADS
    del stored["metadata"]["managedFields"]
    assert len(json.dumps(stored, separators=(",", ":"))) < OBJECT_BYTES
    status["workloads"].append({**status["workloads"][0], "name": "one-more"})
    with pytest.raises(RestError, match=f"at most {MAX_WORKLOADS}"):
        api.merge(f"{url}/status", {"status": status})


def _large_config(size: int) -> str:
    """A service config of about that many characters, as someone with many methods would write it."""
    methods: list[Object] = []
    while len(json.dumps({"methodConfig": methods})) < size - 100:
        methods.append({"name": [{"service": "shop.Orders", "method": f"Method{len(methods)}"}], "timeout": "2s"})
    return json.dumps({"methodConfig": methods})
