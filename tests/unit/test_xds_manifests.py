"""What `kubectl apply -k manifests/xds` installs: it may read what it serves and write nothing; plain text is a choice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from grpcbalance.cli.settings import variable
from grpcbalance.cli.xds import PREFIX
from grpcbalance.lookaside.reading import PORT
from grpcbalance.names import TLS_PORT
from grpcbalance.settings import Settings, replicas_host, split_address
from grpcbalance.watched import VERBS, served_kinds
from grpcbalance.xds.certificates import CERTIFICATE
from grpcbalance.xds.review import PERMISSIONS
from grpcbalance.xds.settings import XdsSettings

ROOT = Path(__file__).parents[2] / "manifests"
XDS = ROOT / "xds"
NAMESPACE = "grpcbalance-system"


def documents() -> list[dict[str, Any]]:
    return [found for path in sorted((XDS / "base").glob("*.yaml")) for found in yaml.safe_load_all(path.read_text())]


def namespaced() -> list[dict[str, Any]]:
    found = yaml.safe_load_all((XDS / "components/namespaced/rbac.yaml").read_text())
    return list(found)


def granted(role: dict[str, Any]) -> set[tuple[str, str, str]]:
    return {(r["apiGroups"][0], name, verb) for r in role["rules"] for name in r["resources"] for verb in r["verbs"]}


def one(kind: str, name: str = "grpcbalance-xds") -> dict[str, Any]:
    (found,) = [document for document in documents() if (document["kind"], _name(document)) == (kind, name)]
    return found


def _name(document: dict[str, Any]) -> str | None:
    return (document.get("metadata") or {}).get("name")


def kustomization(folder: str) -> dict[str, Any]:
    found = yaml.safe_load((XDS / folder / "kustomization.yaml").read_text())
    assert isinstance(found, dict)
    return found


def patches(component: str) -> dict[str, list[dict[str, Any]]]:
    """The operations of a component by the kind that they are for."""
    found = kustomization(f"components/{component}")["patches"]
    return {patch["target"]["kind"]: yaml.safe_load(patch["patch"]) for patch in found}


def test_it_may_read_what_it_serves_and_nothing_else() -> None:
    assert granted(one("ClusterRole")) == {
        (kind.group, kind.plural, verb) for kind in served_kinds(None) for verb in VERBS
    }
    [added] = [operation["value"] for operation in patches("tls")["ClusterRole"]]
    more = {((added["apiGroups"][0], added["resources"][0])): frozenset(added["verbs"])}
    assert more == PERMISSIONS


def test_the_binding_ties_this_role_to_this_account_only() -> None:
    binding, account = one("ClusterRoleBinding"), one("ServiceAccount")["metadata"]
    assert binding["roleRef"]["name"] == one("ClusterRole")["metadata"]["name"]
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": account["name"], "namespace": NAMESPACE}]
    assert one("Deployment")["spec"]["template"]["spec"]["serviceAccountName"] == account["name"]


def test_in_one_namespace_it_may_read_what_it_serves_there() -> None:
    role, binding = namespaced()
    assert (role["kind"], binding["kind"], binding["roleRef"]["kind"]) == ("Role", "RoleBinding", "Role")
    assert granted(role) == {(kind.group, kind.plural, verb) for kind in served_kinds("shop") for verb in VERBS}
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    assert binding["subjects"] == one("ClusterRoleBinding")["subjects"]


def test_in_one_namespace_nothing_is_left_of_the_clusters_scope() -> None:
    component = kustomization("components/namespaced")
    assert component["resources"] == ["rbac.yaml"]
    *removals, told = component["patches"]
    removed = [yaml.safe_load(one["patch"]) for one in removals]
    assert all(one["$patch"] == "delete" for one in removed)
    wide = {(d["kind"], d["metadata"]["name"]) for d in documents() if d["kind"].startswith("Cluster")}
    assert {(one["kind"], one["metadata"]["name"]) for one in removed} == wide
    assert told["target"] == {"kind": "Deployment", "name": one("Deployment")["metadata"]["name"]}
    [operation] = yaml.safe_load(told["patch"])
    place = {"fieldRef": {"fieldPath": "metadata.namespace"}}
    assert operation["value"] == [{"name": variable("namespace", PREFIX), "valueFrom": place}]


def test_its_pod_may_do_as_little_as_the_operators() -> None:
    [operator] = yaml.safe_load_all((ROOT / "operator/deployment.yaml").read_text())
    theirs, ours = operator["spec"]["template"]["spec"], one("Deployment")["spec"]["template"]["spec"]
    assert ours["securityContext"] == theirs["securityContext"]
    [container], [other] = ours["containers"], theirs["containers"]
    assert container["securityContext"] == other["securityContext"]
    assert container["resources"]["limits"] == other["resources"]["limits"]
    for probe in ("livenessProbe", "readinessProbe"):
        assert container[probe] == other[probe]


@pytest.mark.parametrize(
    ("folder", "components"),
    [
        (".", ["components/tls"]),
        ("plaintext", ["../components/plaintext"]),
        ("both", ["../components/tls", "../components/plaintext"]),
        ("namespaced", ["../components/namespaced", "../components/plaintext"]),
        ("namespaced-mtls", ["../components/namespaced", "../components/mtls"]),
    ],
)
def test_plain_text_is_a_choice(folder: str, components: list[str]) -> None:
    assert kustomization(folder)["components"] == components
    assert one("Deployment")["spec"]["template"]["spec"]["containers"][0]["args"] == ["xds"]


@pytest.mark.parametrize("component", ["tls", "mtls", "plaintext"])
def test_ports_agree(component: str) -> None:
    found = patches(component)
    setting = f"{component}_address"
    assert hasattr(XdsSettings(), setting)
    arg, port, *_ = [operation["value"] for operation in found["Deployment"]]
    assert arg == f"--{setting.replace('_', '-')}=:{port['containerPort']}"
    [service], [policy] = found["Service"], found["NetworkPolicy"]
    assert service["value"]["targetPort"] == port["name"]
    assert service["value"]["port"] == port["containerPort"]
    assert policy["value"] == {"ports": [{"port": port["name"]}]}


def test_the_operator_finds_each_ready_replica_and_is_let_out_to_it() -> None:
    replicas, clients = one("Service", "grpcbalance-xds-replicas")["spec"], one("Service")["spec"]
    assert (replicas["clusterIP"], replicas["selector"]) == ("None", clients["selector"])
    assert "publishNotReadyAddresses" not in replicas
    (port,) = one("Deployment")["spec"]["template"]["spec"]["containers"][0]["ports"]
    assert replicas["ports"] == [{"name": port["name"], "port": PORT, "targetPort": port["name"]}]
    assert port["containerPort"] == split_address(XdsSettings().http_address)[1] == PORT
    name, namespace = Settings().xds_service.split(".")
    assert (name, namespace) == (clients_name := one("Service")["metadata"]["name"], NAMESPACE)
    assert replicas_host(Settings()) == f"{clients_name}-replicas.{NAMESPACE}.svc.cluster.local"
    [policy] = yaml.safe_load_all((ROOT / "operator/networkpolicy.yaml").read_text())
    [rule] = [rule for rule in policy["spec"]["egress"] if "to" in rule]
    assert rule["to"] == [{"namespaceSelector": {}, "podSelector": {"matchLabels": replicas["selector"]}}]
    assert rule["ports"] == [{"port": PORT}, {"port": TLS_PORT}]


@pytest.mark.parametrize("component", ["tls", "mtls"])
def test_the_certificate_is_mounted_where_it_is_looked_for(component: str) -> None:
    *_, mounts, volumes = [operation["value"] for operation in patches(component)["Deployment"]]
    assert mounts[0]["mountPath"] == XdsSettings().certificates
    assert volumes[0]["name"] == mounts[0]["name"]
    assert CERTIFICATE == "tls.crt"
    # A Secret that is not there yet is waited for.
    assert volumes[0]["secret"] == {"secretName": "grpcbalance-xds-tls"}


def test_what_names_everybody_is_not_for_everybody() -> None:
    [rule] = one("NetworkPolicy")["spec"]["ingress"]
    assert rule["ports"] == [
        {"port": one("Deployment")["spec"]["template"]["spec"]["containers"][0]["ports"][0]["name"]}
    ]
    assert rule["from"] == [{"podSelector": {}}, {"namespaceSelector": {"matchLabels": {"metrics": "enabled"}}}]


def test_one_at_most_is_away_by_choice() -> None:
    assert one("Deployment")["spec"]["replicas"] == 2
    assert one("PodDisruptionBudget")["spec"]["maxUnavailable"] == 1
    assert one("PodDisruptionBudget")["spec"]["selector"] == {"matchLabels": one("Service")["spec"]["selector"]}
