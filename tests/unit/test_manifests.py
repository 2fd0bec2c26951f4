"""What `kubectl apply -k manifests` installs: no more rights than the code uses, and a pod that may do little."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from grpcbalance import handlers, kube, sync
from grpcbalance.cli.operator import operator_command
from grpcbalance.settings import Settings, split_address

MANIFESTS = Path(__file__).parents[2] / "manifests"
NAMESPACE = "grpcbalance-system"


def documents() -> Iterator[dict[str, Any]]:
    for path in sorted(MANIFESTS.glob("*.yaml")):
        yield from yaml.safe_load_all(path.read_text())


def one(kind: str) -> dict[str, Any]:
    (found,) = [document for document in documents() if document["kind"] == kind]
    return found


def pod() -> dict[str, Any]:
    spec: dict[str, Any] = one("Deployment")["spec"]["template"]["spec"]
    return spec


def container() -> dict[str, Any]:
    (found,) = pod()["containers"]
    assert isinstance(found, dict)
    return found


def needed() -> dict[tuple[str, str], set[str]]:
    """(API group, resource) -> verbs, from the tables that stand beside the code."""
    verbs: dict[tuple[str, str], set[str]] = {key: set(found) for key, found in kube.PERMISSIONS.items()}
    watched = [(kind.group, kind.plural) for kind in sync.KINDS]
    for key in (*watched, *handlers.DISCOVERY):
        verbs.setdefault(key, set()).update(sync.VERBS)
    return verbs


def granted() -> dict[tuple[str, str], set[str]]:
    verbs: dict[tuple[str, str], set[str]] = {}
    for rule in one("ClusterRole")["rules"]:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                assert (group, resource) not in verbs, "one rule per resource"
                verbs[group, resource] = set(rule["verbs"])
    return verbs


def test_rights_are_exactly_those_that_the_code_needs() -> None:
    assert granted() == needed()


def test_no_rule_is_wide_or_dangerous() -> None:
    for rule in one("ClusterRole")["rules"]:
        assert set(rule) == {"apiGroups", "resources", "verbs"}
        assert "*" not in {*rule["apiGroups"], *rule["resources"], *rule["verbs"]}
        assert not {"secrets", "pods/exec", "serviceaccounts/token", "roles", "clusterroles"} & set(rule["resources"])
        assert not {"escalate", "bind", "impersonate", "deletecollection"} & set(rule["verbs"])


def test_the_binding_ties_this_role_to_this_account_only() -> None:
    binding, account = one("ClusterRoleBinding"), one("ServiceAccount")["metadata"]
    assert binding["roleRef"]["name"] == one("ClusterRole")["metadata"]["name"]
    assert binding["subjects"] == [
        {"kind": "ServiceAccount", "name": account["name"], "namespace": account["namespace"]}
    ]
    assert pod()["serviceAccountName"] == account["name"]


def test_every_namespaced_object_is_in_the_namespace_and_that_is_restricted() -> None:
    namespace = one("Namespace")["metadata"]
    assert namespace["name"] == NAMESPACE
    assert namespace["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    for kind in ("Deployment", "Service", "ServiceAccount"):
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


def test_the_service_reaches_the_pod() -> None:
    service, labels = one("Service")["spec"], one("Deployment")["spec"]["template"]["metadata"]["labels"]
    assert service["selector"].items() <= labels.items()
    assert [port["targetPort"] for port in service["ports"]] == [container()["ports"][0]["name"]]


def test_the_kustomization_names_every_file_and_the_api() -> None:
    resources = set(one("Kustomization")["resources"])
    files = {path.name for path in MANIFESTS.glob("*.yaml")} - {"kustomization.yaml"}
    assert resources == {*files, "../crds"}
    crds = yaml.safe_load((MANIFESTS.parent / "crds" / "Kustomization").read_text())["resources"]
    assert set(crds) == {path.name for path in (MANIFESTS.parent / "crds").glob("*.yaml")}


def test_the_image_is_the_one_that_is_built() -> None:
    (image,) = one("Kustomization")["images"]
    assert container()["image"] == image["name"]
    assert image == {"name": "grpcbalance/operator", "newTag": "dev"}
