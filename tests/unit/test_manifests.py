"""What `kubectl apply -k manifests` installs: no more rights than the code uses, and a pod that may do little."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from grpcbalance import permissions
from grpcbalance.api import parse_spec
from grpcbalance.api.scalars import FORBIDDEN_VARIABLES
from grpcbalance.balancer import Balancer
from grpcbalance.cli.operator import operator_command
from grpcbalance.cli.settings import variable
from grpcbalance.kinds import WORKLOADS
from grpcbalance.names import (
    ANNOTATION_INJECTED,
    ANNOTATION_OWNER_UID,
    AUTHORITY,
    BOOTSTRAP,
    LABEL_MANAGED_BY,
    LABEL_SERVICE,
    MANAGED_BY,
)
from grpcbalance.settings import Settings, split_address
from grpcbalance.variables import Target, client_variables

MANIFESTS = Path(__file__).parents[2] / "manifests"
NAMESPACED = MANIFESTS / "namespaced"
NAMESPACE = "grpcbalance-system"


def documents(*folders: Path) -> Iterator[dict[str, Any]]:
    for folder in folders or (MANIFESTS, MANIFESTS / "operator"):
        for path in sorted(folder.glob("*.yaml")):
            yield from yaml.safe_load_all(path.read_text())


def one(kind: str, *folders: Path) -> dict[str, Any]:
    (found,) = [document for document in documents(*folders) if document["kind"] == kind]
    return found


def kustomization(folder: Path) -> dict[str, Any]:
    return one("Kustomization", folder)


def pod() -> dict[str, Any]:
    spec: dict[str, Any] = one("Deployment")["spec"]["template"]["spec"]
    return spec


def container() -> dict[str, Any]:
    (found,) = pod()["containers"]
    assert isinstance(found, dict)
    return found


ROLES = [
    pytest.param(("ClusterRole", MANIFESTS), Settings(), id="cluster"),
    pytest.param(("Role", NAMESPACED), Settings(namespace="shop"), id="one namespace"),
]


@pytest.mark.parametrize(("role", "settings"), ROLES)
def test_rights_are_exactly_those_that_the_code_needs(role: tuple[str, Path], settings: Settings) -> None:
    granted = [
        permissions.Permission(group, resource, verb, name)
        for rule in one(*role)["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
        for name in rule.get("resourceNames", [""])
    ]
    assert sorted(granted) == list(permissions.needed(settings))


@pytest.mark.parametrize(("role", "settings"), ROLES)
def test_no_rule_is_wide_or_dangerous(role: tuple[str, Path], settings: Settings) -> None:
    assert one(*role)["kind"] == ("ClusterRole" if settings.namespace is None else "Role")
    for rule in one(*role)["rules"]:
        # Of config maps one name: others may hold what is nobody's business.
        named = {"resourceNames"} if rule["resources"] == ["configmaps"] else set()
        assert set(rule) == {"apiGroups", "resources", "verbs"} | named
        assert rule.get("resourceNames", [AUTHORITY]) == [AUTHORITY]
        assert "*" not in {*rule["apiGroups"], *rule["resources"], *rule["verbs"]}
        assert not {"secrets", "pods/exec", "serviceaccounts/token", "roles", "clusterroles"} & set(rule["resources"])
        assert not {"escalate", "bind", "impersonate", "deletecollection"} & set(rule["verbs"])


@pytest.mark.parametrize(("role", "settings"), ROLES)
def test_the_binding_ties_this_role_to_this_account_only(role: tuple[str, Path], settings: Settings) -> None:
    kind, folder = role
    assert settings.namespace is None or "Cluster" not in "".join(d["kind"] for d in documents(folder))
    binding, account = one(f"{kind}Binding", folder), one("ServiceAccount")["metadata"]
    assert binding["roleRef"]["name"] == one(*role)["metadata"]["name"]
    assert binding["roleRef"]["kind"] == kind
    assert binding["subjects"] == [
        {"kind": "ServiceAccount", "name": account["name"], "namespace": account["namespace"]}
    ]
    assert pod()["serviceAccountName"] == account["name"]


def test_every_namespaced_object_is_in_the_namespace_and_that_is_restricted() -> None:
    namespace = one("Namespace")["metadata"]
    assert namespace["name"] == NAMESPACE
    assert namespace["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    for kind in ("Deployment", "Service", "ServiceAccount", "NetworkPolicy"):
        assert one(kind)["metadata"]["namespace"] == NAMESPACE


def test_the_pod_may_do_nothing() -> None:
    security = pod()["securityContext"]
    assert security["runAsNonRoot"] is True
    assert security["runAsUser"] == 65532
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container()["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert not {"hostNetwork", "hostPID", "hostIPC", "volumes"} & set(pod())
    assert "env" not in container()


def test_the_user_is_that_of_the_image() -> None:
    text = (MANIFESTS.parent / "Dockerfile").read_text()
    assert f"USER {pod()['securityContext']['runAsUser']}:{pod()['securityContext']['runAsGroup']}\n" in text


def test_the_deployment_is_one_at_a_time_and_stops_in_time() -> None:
    spec = one("Deployment")["spec"]
    assert one("Deployment")["metadata"]["name"] == "grpcbalance-operator"
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})
    assert spec["template"]["spec"]["terminationGracePeriodSeconds"] == 15
    assert container()["resources"]["limits"] == {"memory": "512Mi"}
    assert set(container()["resources"]["requests"]) == {"cpu", "memory"}
    assert container()["imagePullPolicy"] == "IfNotPresent"


@pytest.mark.parametrize(("probe", "path"), [("livenessProbe", "/livez"), ("readinessProbe", "/readyz")])
def test_probes_ask_where_the_operator_answers(probe: str, path: str) -> None:
    assert container()[probe]["httpGet"] == {"path": path, "port": "http"}
    (port,) = container()["ports"]
    assert port == {"name": "http", "containerPort": split_address(Settings().http_address)[1]}


def test_the_arguments_are_those_of_the_command() -> None:
    command, *arguments = container()["args"]
    assert command == operator_command.name
    context = click.Context(operator_command)
    operator_command.parse_args(context, arguments)
    assert context.params["workers"] == Settings().workers


def test_the_service_and_the_network_policy_select_this_pod_and_nobody_elses() -> None:
    service, labels = one("Service")["spec"], one("Deployment")["spec"]["template"]["metadata"]["labels"]
    assert service["selector"] == labels
    assert one("NetworkPolicy")["spec"]["podSelector"] == {"matchLabels": labels}
    # In a namespace of many, "component: operator" alone could be anybody.
    assert labels["app.kubernetes.io/name"] == "grpcbalance"
    assert [port["targetPort"] for port in service["ports"]] == [container()["ports"][0]["name"]]


def test_the_network_is_closed_but_for_probes_dns_the_api_server_and_the_look_aside_balancer() -> None:
    spec = one("NetworkPolicy")["spec"]
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    assert spec["ingress"] == [{"ports": [{"port": container()["ports"][0]["name"]}]}]
    *anywhere, balancer = spec["egress"]
    out = [(port["port"], port.get("protocol", "TCP")) for rule in anywhere for port in rule["ports"]]
    assert set(out) == {(53, "UDP"), (53, "TCP"), *((port, "TCP") for port in (443, 6443, 8443, 16443))}
    assert all(set(rule) == {"ports"} for rule in anywhere)
    # tests/unit/test_xds_manifests.py looks into it.
    assert set(balancer) == {"ports", "to"}


@pytest.mark.parametrize(
    ("folder", "more"),
    [(MANIFESTS, {"../crds", "operator"}), (MANIFESTS / "operator", set()), (NAMESPACED, {"../operator"})],
    ids=lambda value: value.name if isinstance(value, Path) else "",
)
def test_the_kustomization_names_every_file_and_the_api(folder: Path, more: set[str]) -> None:
    resources = set(kustomization(folder)["resources"])
    files = {path.name for path in folder.glob("*.yaml")} - {"kustomization.yaml"}
    assert resources == files | more


def test_one_namespace_is_that_of_the_pod() -> None:
    (patch,) = kustomization(NAMESPACED)["patches"]
    assert patch["target"] == {"kind": "Deployment", "name": one("Deployment")["metadata"]["name"]}
    (added,) = yaml.safe_load(patch["patch"])
    assert added["value"] == [
        {"name": variable("namespace"), "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
        # That of another one lets nobody from here ask it.
        {"name": variable("xds_service"), "value": f"grpcbalance-xds.$({variable('namespace')})"},
    ]


def longest_names() -> list[str]:
    """Variables of an object whose name is as long as may be, with all that can be set; and the longest renamed one."""
    keepalive = {"time": "30s", "timeout": "10s", "permitWithoutCalls": True}
    spec = parse_spec({"selector": {"a": "b"}, "port": 1, "client": {"keepalive": keepalive, "authority": "a.b"}})
    made = client_variables("o" * 54, spec.client, Target("orders.shop.", 1), "a.b")
    assert len(made) == 7
    return [*made, "A" * 63]


def test_the_policies_are_about_this_account_our_names_and_the_variables_that_the_api_refuses() -> None:
    policies = [d for d in documents(MANIFESTS) if d["kind"] == "ValidatingAdmissionPolicy"]
    assert len(policies) == 2
    account = one("ServiceAccount")["metadata"]["name"]
    for policy in policies:
        (condition,) = policy["spec"]["matchConditions"]
        assert condition["expression"].endswith(f":{account}$')")
        assert policy["spec"]["failurePolicy"] == "Fail"
    bindings = [d["spec"] for d in documents(MANIFESTS) if d["kind"] == "ValidatingAdmissionPolicyBinding"]
    assert [b["policyName"] for b in bindings] == [policy["metadata"]["name"] for policy in policies]
    assert all(b["validationActions"] == ["Deny", "Audit"] for b in bindings)
    workloads = policies[0]["spec"]
    rules = {
        (*rule["apiGroups"], name)
        for rule in workloads["matchConstraints"]["resourceRules"]
        for name in rule["resources"]
    }
    assert rules == {(kind.group, kind.plural) for kind in WORKLOADS}
    text = "".join(v["expression"] for v in (*workloads["validations"], *workloads["variables"]))
    (allowed,) = re.findall(r"[^!]e\.name\.matches\(r'([^']+)'\)", text)
    assert all(re.fullmatch(allowed, name) for name in longest_names())
    assert f"!e.name.matches(r'{FORBIDDEN_VARIABLES}')" in text
    assert f"annotationsWas[?'{ANNOTATION_INJECTED}']" in text
    services = str(policies[1])
    assert all(f"'{name}'" in services for name in (LABEL_MANAGED_BY, MANAGED_BY, LABEL_SERVICE, ANNOTATION_OWNER_UID))


def test_the_crds_are_all_there() -> None:
    crds = yaml.safe_load((MANIFESTS.parent / "crds" / "Kustomization").read_text())["resources"]
    assert set(crds) == {path.name for path in (MANIFESTS.parent / "crds").glob("*.yaml")}


def test_the_image_is_the_one_that_is_built() -> None:
    (image,) = kustomization(MANIFESTS / "operator")["images"]
    assert container()["image"] == image["name"]
    assert image == {"name": "grpcbalance/operator", "newTag": "dev"}


def test_the_policy_lets_clients_be_told_exactly_what_they_are_told() -> None:
    policies = [found for found in documents() if found["kind"] == "ValidatingAdmissionPolicy"]
    (policy,) = [found for found in policies if found["metadata"]["name"] == "grpcbalance-workloads"]
    said = {variable["name"]: variable["expression"] for variable in policy["spec"]["variables"]}
    # Of CEL there is no more in it than texts that are put together.
    parts = re.findall(r"'([^']*)'|(variables\.balancer)|(request\.namespace)|(,)\n", said["bootstraps"])
    balancer = said["balancer"].strip("'")
    text = "".join(word or (balancer if ours else "shop" if here else "\n") for word, ours, here, _ in parts)
    wanted = [Balancer().entries("shop", plaintext=plaintext)[BOOTSTRAP] for plaintext in (True, False)]
    assert text.split("\n") == wanted
