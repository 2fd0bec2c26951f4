"""Manifests: what is read, and what is refused with its place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from grpcbalance.diff.checked import checked, plural_of
from grpcbalance.diff.files import read
from grpcbalance.diff.known import Known
from grpcbalance.diff.manifests import Manifest, ManifestError, parse
from tests.unit import factories as make

GBS = """
apiVersion: grpcbalance.dev/v1alpha1
kind: GrpcBalancedService
metadata: {name: orders}
spec: %s
"""
POD = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec: {template: {spec: {containers: %s}}}"


def names(text: str) -> list[str]:
    return [f"{m.origin} {m.raw['kind']} {m.raw['metadata']['name']}" for m in parse(text, "f")]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", []),
        ("---\n---\n# nothing\n", []),
        ("apiVersion: v1\nkind: Service\nmetadata: {name: a}\n---\napiVersion: v1\nkind: Service\nmetadata: {name: b}\n", ["f:1 Service a", "f:5 Service b"]),
        ('{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}}', ["f:1 Service a"]),
        ("apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Service, metadata: {name: a}}\n", ["f:1 Service a"]),
        ("apiVersion: v1\nkind: ServiceList\nitems: []\n", []),
    ],
)  # fmt: skip
def test_documents_lists_and_json_are_read(text: str, found: list[str]) -> None:
    assert names(text) == found


def test_dates_stay_text_as_in_kubernetes() -> None:
    (manifest,) = parse("apiVersion: v1\nkind: Service\nmetadata: {name: a, labels: {since: 2026-01-01}}", "f")
    assert manifest.raw["metadata"]["labels"] == {"since": "2026-01-01"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: b\nc: [", "f:2: no valid YAML: "),
        ("a: {{ .Values.name }}\n", "f:1: no valid YAML: "),
        ("---\n---\nkind: X\n\tb: c", "f:4: no valid YAML: "),
        ("a: \x00", "f: no valid YAML: "),
        ("- a\n", "f:1: is not a Kubernetes object: a mapping"),
        ("\n\nkind: Service\n", "f:3: is not a Kubernetes object: apiVersion is missing"),
        ("apiVersion: v1\n", "f:1: is not a Kubernetes object: kind is missing"),
        ("apiVersion: v1\nkind: List\nitems: [1]\n", "f:1: is not a Kubernetes object"),
    ],
)
def test_what_is_no_manifest_is_refused_with_file_and_line(text: str, message: str) -> None:
    with pytest.raises(ManifestError) as error:
        parse(text, "f")
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GBS % "{selector: {app: a}, port: 5000, clinet: {}}", "spec.clinet is not a field of GrpcBalancedService"),
        (GBS % "{selector: {app: a}, port: 5000, client: {env: {target: {nmae: X}}}}", "spec.client.env.target.nmae is not a field"),
        (GBS % "{selector: {app: a}, port: 0}", "spec.port"),
        (GBS % "{selector: {app: a}, port: 5000, server: {maxConnectionAge: Off}}", "spec.server.maxConnectionAge: "),
        (GBS % "{port: 5000}", "spec: set exactly one of selector and serviceRef"),
        (GBS % "[]", "spec must be a mapping"),
        ("apiVersion: grpcbalance.dev/v1\nkind: GrpcBalancedService\nmetadata: {name: a}", "write grpcbalance.dev/v1alpha1 GrpcBalancedService"),
        ("apiVersion: v1\nkind: Service\nmetadata: {}", "metadata.name is missing"),
        ("apiVersion: v1\nkind: Service\nmetadata: {name: a, labels: {x: 1}}", "metadata.labels[x] must be a string; put it in quotes"),
        ("apiVersion: v1\nkind: Service\nmetadata: {name: a, namespace: other}", "is in namespace other, and --namespace is shop"),
        ("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec: {}", "spec.template is missing"),
        ("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec: {replicas: x, template: {spec: {containers: []}}}", "spec.replicas must be a number"),
        ("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec: {minReadySeconds: 5s, template: {spec: {containers: []}}}", "spec.minReadySeconds must be a number"),
        (POD % "[{}]", "spec.template.spec.containers[0].name is missing"),
        (POD % "{}", "spec.template.spec.containers must be a list"),
        (POD % "[{name: a, env: [{name: PASSWORD, value: 4711}]}]", "spec.template.spec.containers[0].env[0].value must be a string; put it in quotes"),
        (POD % "[{name: a, env: [{value: x}]}]", "spec.template.spec.containers[0].env[0].name is missing"),
        (POD % "[{name: a, ports: [{containerPort: grpc}]}]", "spec.template.spec.containers[0].ports[0].containerPort must be a number"),
    ],
)  # fmt: skip
def test_what_an_api_server_would_refuse_is_refused_with_its_field(text: str, message: str) -> None:
    with pytest.raises(ManifestError) as error:
        Known({}).lay(parse(text, "shop.yaml"), "shop", forced=True)
    assert message in str(error.value)
    assert str(error.value).startswith("shop.yaml:")
    assert "4711" not in str(error.value)


@pytest.mark.parametrize("surge", ["many", [1]])
def test_what_nobody_checked_is_refused_too(surge: Any) -> None:
    raw = make.server(strategy={"rollingUpdate": {"maxSurge": surge}})
    known = Known({})
    known.lay([Manifest("shop.yaml:1", raw)], "shop", forced=False)
    with pytest.raises(ManifestError, match=r"^shop\.yaml:1: Deployment orders: is not a valid Deployment$"):
        known.view()


def test_an_object_that_stands_twice_is_refused() -> None:
    text = GBS % "{selector: {app: a}, port: 5000}"
    with pytest.raises(ManifestError, match=r"f:7: GrpcBalancedService orders: stands a second time; the first is f:2"):
        Known({}).lay(parse(f"{text}---{text}", "f"), "shop", forced=False)


def test_kinds_that_decide_nothing_are_passed_over() -> None:
    (manifest,) = parse("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {a: 1}", "f")
    assert plural_of(manifest) is None


@pytest.mark.parametrize(("given", "namespace"), [(None, "shop"), ("other", "other")])
def test_a_manifest_without_namespace_is_in_the_usual_one(given: str | None, namespace: str) -> None:
    raw = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a", "namespace": given}}
    assert checked("services", Manifest("f:1", raw), "shop", forced=False)["metadata"]["namespace"] == namespace


def test_folders_are_read_as_kubectl_reads_them(tmp_path: Path) -> None:
    text = "apiVersion: v1\nkind: Service\nmetadata: {name: %s}"
    for place in ("b.yaml", "a.yml", "c.json", "notes.txt", "deep/d.yaml"):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        (tmp_path / place).write_text(text % place.replace("/", "-").replace(".", "-"))
    flat = [m.raw["metadata"]["name"] for m in read([str(tmp_path)], recursive=False)]
    assert flat == ["a-yml", "b-yaml", "c-json"]
    deep = [m.raw["metadata"]["name"] for m in read([str(tmp_path)], recursive=True)]
    assert deep == ["a-yml", "b-yaml", "c-json", "deep-d-yaml"]


@pytest.mark.parametrize(
    ("content", "message"), [(None, "No such file or directory"), (b"\xff\xfe\x00", "is not UTF-8 text")]
)
def test_an_unreadable_file_is_named(tmp_path: Path, content: bytes | None, message: str) -> None:
    file = tmp_path / "a.yaml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ManifestError) as error:
        read([str(file)], recursive=False)
    assert str(error.value) == f"{file}: {message}"


def test_a_folder_without_manifests_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"no file in it ends in \.yaml"):
        read([str(tmp_path)], recursive=False)
