"""The operator's token in the wrong hands: the policy lets it set variables in workloads, and nothing else."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from grpcbalance.balancer import Balancer
from grpcbalance.names import BOOTSTRAP, POD_NAME, PROOF_PATH, PROOF_VOLUME
from grpcbalance.values import Proof
from lab import Cluster
from lab.install import NAMESPACE
from lab.rest import Object, Rest, RestError, path
from tests.kit import objects
from tests.kit.accounts import as_operator
from tests.kit.shop import RECORD, Shop

pytestmark = pytest.mark.cluster

# Stands for the namespace of the test.
HERE = "namespace-of-the-test"
OURS = {"GRPC_ORDERS_TARGET": "0123456789abcdef"}
ENV = [
    {"name": "OWN", "value": "user"},
    {"name": "GRPC_ORDERS_TARGET", "value": "dns:///old"},
]


@pytest.fixture
def thief(cluster: Cluster, api: Rest, tmp_path: Path) -> Iterator[Rest]:
    with as_operator(cluster, api, tmp_path) as rest:
        yield rest


STRATEGIC = "application/strategic-merge-patch+json"
MERGE = "application/merge-patch+json"


def verdict(thief: Rest, method: str, url: str, body: Object | None, content_type: str) -> str:
    """The policy that denies a request, or nothing when it would pass. What else is refused is shown in full."""
    try:
        thief.request(method, url, body, content_type=content_type, query={"dryRun": "All"})
    except RestError as error:
        found = re.search(r"ValidatingAdmissionPolicy '([^']+)'", error.message)
        return found[1] if found and error.code == 422 else str(error)
    return ""


def template() -> Object:
    """Two containers and an init container, one variable of ours, one of the user's."""
    made: Object = objects.idle("any", env=copy.deepcopy(ENV))["spec"]["template"]
    made["metadata"]["annotations"] = {RECORD: json.dumps({"app": OURS}, separators=(",", ":")), "note": "user"}
    (app,) = made["spec"]["containers"]
    made["spec"]["containers"].append({**copy.deepcopy(app), "name": "second"})
    made["spec"]["initContainers"] = [{**copy.deepcopy(app), "name": "first"}]
    return made


def workload(kind: str) -> Object:
    """An injected workload of a kind, without pods."""
    spec: dict[str, Any] = {"selector": {"matchLabels": {"app": "any"}}, "template": template()}
    if kind == "CronJob":
        spec["template"]["spec"]["restartPolicy"] = "Never"
        job = {"spec": {"template": spec["template"]}}
        return made(kind, "batch/v1", {"schedule": "0 0 1 1 *", "suspend": True, "jobTemplate": job})
    if kind == "DaemonSet":
        spec["template"]["spec"]["nodeSelector"] = {"no": "such-node"}
    else:
        spec["replicas"] = 0
    return made(kind, "apps/v1", spec | ({"serviceName": "any"} if kind == "StatefulSet" else {}))


def made(kind: str, version: str, spec: Object) -> Object:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": "any"}, "spec": spec}


def around(kind: str, template: Object) -> Object:
    """A patch with nothing but a template."""
    return {"spec": {"jobTemplate": {"spec": {"template": template}}} if kind == "CronJob" else {"template": template}}


def container(name: str = "app", **fields: Any) -> Object:
    return {"spec": {"containers": [{"name": name, **fields}]}}


def recorded(record: Any, **fields: Any) -> Object:
    text = None if record is None else json.dumps(record, separators=(",", ":"))
    return {"metadata": {"annotations": {RECORD: text}}, **(container(**fields) if fields else {})}


def on_xds(*changed: Object, mount: Object | None = None, volume: Object | None = None) -> Object:
    """What clients over TLS get, with other entries, another mount or another volume."""
    entries = Balancer().entries(HERE, plaintext=False)
    written = {name: value for name, value in entries.items() if not isinstance(value, Proof)}
    env = [
        {"name": n, **({"value": v} if isinstance(v, str) else {"valueFrom": v.source()})} for n, v in written.items()
    ]
    patch = recorded(
        {"app": OURS | dict.fromkeys(entries, "0")},
        env=[*(entry for entry in env if entry["name"] not in {c["name"] for c in changed}), *changed],
        volumeMounts=[Proof().mount() | (mount or {})],
    )
    patch["spec"]["volumes"] = [volume or Proof().volume()]
    return patch


def bootstrap(old: str, new: str) -> Object:
    """What clients over TLS get, with something else in the bootstrap."""
    value = str(Balancer().entries(HERE, plaintext=False)[BOOTSTRAP])
    assert old in value
    return on_xds({"name": BOOTSTRAP, "value": value.replace(old, new)})


def projected(**source: Object) -> Object:
    return {"name": PROOF_VOLUME, "projected": {"sources": [source]}}


NEW = {"name": "GRPC_NEW", "value": "1"}
WITH_NEW = {"app": OURS | {"GRPC_NEW": "0"}}
# Template patches.
ALLOWED: dict[str, Object] = {
    "one more variable": recorded(WITH_NEW, env=[NEW]),
    "another value of ours": recorded({"app": OURS}, env=[{"name": "GRPC_ORDERS_TARGET", "value": "dns:///new"}]),
    "ours removed": recorded(None, env=[{"name": "GRPC_ORDERS_TARGET", "$patch": "delete"}]),
    "another container": recorded({"app": OURS, "second": {"GRPC_NEW": "0"}}, name="second", env=[NEW]),
    "what clients on xDS get": on_xds(),
}
DENIED: dict[str, Object] = {
    "image": container(image="evil"),
    "command": container(command=["sh"]),
    "arguments": container(args=["evil"]),
    "working directory": container(workingDir="/evil"),
    "security": container(securityContext={"privileged": True}),
    "lifecycle": container(lifecycle={"postStart": {"exec": {"command": ["sh"]}}}),
    "envFrom": container(envFrom=[{"secretRef": {"name": "any"}}]),
    "one more container": container("third", image="evil"),
    "a container less": {"spec": {"containers": [{"name": "second", "$patch": "delete"}]}},
    "env of an init container": {"spec": {"initContainers": [{"name": "first", "env": [NEW]}]}},
    "an init container": {"spec": {"initContainers": [{"name": "zero", "image": "evil"}]}},
    "service account": {"spec": {"serviceAccountName": "admin"}},
    "host network": {"spec": {"hostNetwork": True}},
    "volume": {"spec": {"volumes": [{"name": "root", "hostPath": {"path": "/"}}]}},
    "label": {"metadata": {"labels": {"evil": "1"}}},
    "annotation": {"metadata": {"annotations": {"evil": "1"}}},
    "annotation changed": {"metadata": {"annotations": {"note": "evil"}}},
    "annotation removed": {"metadata": {"annotations": {"note": None}}},
    "the user's variable": container(env=[{"name": "OWN", "value": "evil"}]),
    "the user's variable removed": container(env=[{"name": "OWN", "$patch": "delete"}]),
    "the user's variable recorded": recorded({"app": OURS | {"OWN": "0"}}),
    "ours in another container": container("second", env=[{"name": "GRPC_ORDERS_TARGET", "value": "evil"}]),
    "a variable that is not recorded": container(env=[NEW]),
    "a record of what is not there yet": {
        "metadata": {"annotations": {RECORD: '{"app":{"GRPC_ORDERS_TARGET":"0123456789abcdef" "LATER":"0"}}'}}
    },
    "a variable from a secret": recorded(
        WITH_NEW, env=[{"name": "GRPC_NEW", "valueFrom": {"secretKeyRef": {"name": "any", "key": "any"}}}]
    ),
    "a variable that runs code": recorded(
        {"app": OURS | {"NODE_OPTIONS": "0"}}, env=[{"name": "NODE_OPTIONS", "value": "--import=data:evil"}]
    ),
    "another look-aside balancer": bootstrap("grpcbalance-xds.grpcbalance-system", "evil.elsewhere"),
    "one of another domain": bootstrap("cluster.local", "evil.example"),
    "a second one": bootstrap('"xds_servers":[', '"xds_servers":[{"server_uri":"dns:///evil.example:1"},'),
    "another one by the same key": bootstrap(
        '"channel_creds"', '"server_ur\\u0069":"dns:///evil.example:1","channel_creds"'
    ),
    "another token": bootstrap(f"{PROOF_PATH}/token", "/var/run/secrets/kubernetes.io/serviceaccount/token"),
    "authorities": bootstrap('"node":', '"authorities":{"":{}},"node":'),
    "another namespace": bootstrap(HERE, "other"),
    "a bootstrap from a field": on_xds({"name": BOOTSTRAP, "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}),
    "a bootstrap in a file": recorded(
        {"app": OURS | {"GRPC_XDS_BOOTSTRAP": "0"}}, env=[{"name": "GRPC_XDS_BOOTSTRAP", "value": "/evil"}]
    ),
    "a pod's name from elsewhere": on_xds({"name": POD_NAME, "valueFrom": {"secretKeyRef": {"name": "a", "key": "a"}}}),
    "another field as the pod's name": on_xds(
        {"name": POD_NAME, "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}
    ),
    "a mount elsewhere": on_xds(mount={"mountPath": "/usr/bin"}),
    "a part of the volume": on_xds(mount={"subPath": "token"}),
    "another volume mounted": on_xds(mount={"name": "root"}, volume={"name": "root", "hostPath": {"path": "/"}}),
    "our volume with a secret": on_xds(volume=projected(secret={"name": "any"})),
    "our volume with another config map": on_xds(volume=projected(configMap={"name": "any"})),
    "our volume with a token for another": on_xds(
        volume=projected(serviceAccountToken={"audience": "evil", "path": "t"})
    ),
    "our volume with a token for the API server": on_xds(volume=projected(serviceAccountToken={"path": "token"})),
    "our volume of another kind": on_xds(volume={"name": PROOF_VOLUME, "hostPath": {"path": "/"}}),
    "a volume that is not recorded": {
        "spec": {"containers": [{"name": "app", "volumeMounts": [Proof().mount()]}], "volumes": [Proof().volume()]}
    },
}
KINDS = {
    "Deployment": ("apps/v1", "deployments"),
    "StatefulSet": ("apps/v1", "statefulsets"),
    "DaemonSet": ("apps/v1", "daemonsets"),
    "CronJob": ("batch/v1", "cronjobs"),
}
# Patches of the object around the template.
OUTSIDE: dict[str, dict[str, Object]] = {
    "label": {kind: {"metadata": {"labels": {"evil": "1"}}} for kind in KINDS},
    "annotation": {kind: {"metadata": {"annotations": {"evil": "1"}}} for kind in KINDS},
    "finalizer": {kind: {"metadata": {"finalizers": ["evil.example/x"]}} for kind in KINDS},
    "owner": {
        kind: {"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "x", "uid": "x"}]}}
        for kind in KINDS
    },
    "a field of its own": {
        "Deployment": {"spec": {"replicas": 5}},
        "StatefulSet": {"spec": {"replicas": 5}},
        "DaemonSet": {"spec": {"minReadySeconds": 5}},
        "CronJob": {"spec": {"suspend": False}},
    },
    "how it rolls": {
        "Deployment": {"spec": {"strategy": {"rollingUpdate": {"maxUnavailable": "100%"}}}},
        "StatefulSet": {"spec": {"updateStrategy": {"rollingUpdate": {"partition": 1}}}},
        "DaemonSet": {"spec": {"updateStrategy": {"rollingUpdate": {"maxUnavailable": "100%"}}}},
        "CronJob": {"spec": {"jobTemplate": {"spec": {"parallelism": 5}}}},
    },
}


@pytest.mark.parametrize("kind", KINDS)
def test_only_env_of_containers_and_the_record_can_be_changed(kind: str, shop: Shop, thief: Rest) -> None:
    collection = path(*KINDS[kind], shop.namespace)
    url = path(*KINDS[kind], shop.namespace, "any")
    original = shop.api.create(collection, workload(kind))
    patches = {f"template: {name}": around(kind, patch) for name, patch in (ALLOWED | DENIED).items()}
    patches |= {f"object: {name}": by_kind[kind] for name, by_kind in OUTSIDE.items()}
    here = json.loads(json.dumps(patches).replace(HERE, shop.namespace))
    verdicts = {name: verdict(thief, "PATCH", url, patch, STRATEGIC) for name, patch in here.items()}
    allowed = {f"template: {name}" for name in ALLOWED}
    assert verdicts == {name: "" if name in allowed else "grpcbalance-workloads" for name in patches}
    assert shop.api.get(url)["spec"] == original["spec"]


def service(**more: Any) -> Object:
    return objects.cluster_ip("mine", clusterIP="None", **more)


LABELS = {"app.kubernetes.io/managed-by": "grpcbalance", "grpcbalance.dev/service": "mine"}


def test_only_headless_services_of_ours_can_be_made_changed_and_deleted(shop: Shop, thief: Rest) -> None:
    shop.create(objects.cluster_ip("theirs"))
    theirs, collection = shop.url("Service", "theirs"), shop.url("Service")
    ours = service() | {"metadata": {"name": "mine", "labels": LABELS}}
    spec = ours["spec"]
    refused: dict[str, tuple[str, str, Any]] = {
        "delete another's": ("DELETE", theirs, None),
        "change another's": ("PATCH", theirs, {"spec": {"selector": {"app": "evil"}}}),
        "adopt another's": ("PATCH", theirs, {"metadata": {"labels": LABELS}}),
        "create without labels": ("POST", collection, ours | {"metadata": {"name": "mine"}}),
        "create with an address": ("POST", collection, ours | {"spec": {"ports": spec["ports"]}}),
        "create an external name": (
            "POST",
            collection,
            ours | {"spec": {"type": "ExternalName", "externalName": "evil.example"}},
        ),
        "take addresses": ("POST", collection, ours | {"spec": {**spec, "externalIPs": ["192.0.2.1"]}}),
    }
    verdicts = {
        name: verdict(thief, method, url, body, MERGE if method == "PATCH" else "application/json")
        for name, (method, url, body) in refused.items()
    }
    assert verdicts == dict.fromkeys(refused, "grpcbalance-services")
    thief.create(collection, ours)
    mine = shop.url("Service", "mine")
    with pytest.raises(RestError, match="grpcbalance-services"):
        thief.merge(mine, {"metadata": {"finalizers": ["evil.example/x"]}})
    thief.merge(mine, {"spec": {"selector": {"app": "other"}}})
    thief.delete(mine)
    assert shop.api.find(mine) is None


def test_the_api_server_finds_nothing_wrong_with_the_policies(api: Rest) -> None:
    for name in ("grpcbalance-workloads", "grpcbalance-services"):
        url = path("admissionregistration.k8s.io/v1", "validatingadmissionpolicies", "", name)
        checked = api.wait(
            url,
            lambda policy: policy.get("status", {}).get("observedGeneration") == policy["metadata"]["generation"],
            within=30,
            what=f"{name} is type-checked",
        )
        assert checked["status"].get("typeChecking", {}).get("expressionWarnings", []) == []


def test_our_namespace_takes_no_pod_that_could_do_more(api: Rest) -> None:
    pod = {
        "metadata": {"name": "root"},
        "spec": {"containers": [{"name": "c", "image": "any", "securityContext": {"privileged": True}}]},
    }
    with pytest.raises(RestError, match="violates PodSecurity") as refused:
        api.create(path("v1", "pods", NAMESPACE), pod)
    assert refused.value.code == 403
