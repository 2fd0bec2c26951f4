"""The door for manifests: what an API server would refuse is refused here, what it would add is added. Pure.

Not all of an API server: field types that decide something, unknown fields of a GrpcBalancedService and its schema.
`kubectl apply --dry-run=server` asks the real one.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import Any, Final

from pydantic import ValidationError

from grpcbalance.api import parse_spec
from grpcbalance.crd import custom_resource_definition
from grpcbalance.kinds import BY_KIND, BY_PLURAL
from grpcbalance.names import API_VERSION, GROUP, KIND, PLURAL

from .manifests import Manifest, ManifestError

UNKNOWN_UID: Final = "unknown-until-created"
_KINDS: Final[Mapping[tuple[str, str], str]] = {
    (API_VERSION, KIND): PLURAL,
    ("v1", "Service"): "services",
    ("v1", "Namespace"): "namespaces",
    **{(workload.api_version, kind): workload.plural for kind, workload in BY_KIND.items()},
}


def plural_of(manifest: Manifest) -> str | None:
    """The plural of a kind that decides something, None for any other. Raises ManifestError for a version unknown."""
    version, kind = manifest.raw["apiVersion"], manifest.raw["kind"]
    if version.partition("/")[0] == GROUP and (version, kind) != (API_VERSION, KIND):
        raise ManifestError(f"{manifest.title}: {version} {kind} is not known; write {API_VERSION} {KIND}")
    return _KINDS.get((version, kind))


def checked(plural: str, manifest: Manifest, namespace: str, *, forced: bool) -> dict[str, Any]:
    """The object as far as a manifest can tell it. Raises ManifestError.

    `namespace` is for objects that name none; with `forced` those that name another one are refused, as by kubectl.
    """
    raw = manifest.raw
    meta = _mapping(manifest, raw.get("metadata"), "metadata")
    if not isinstance(meta.get("name"), str) or not meta["name"]:
        raise ManifestError(f"{manifest.title}: metadata.name is missing")
    given = meta.get("namespace") or namespace
    if plural != "namespaces" and forced and given != namespace:
        raise ManifestError(f"{manifest.title}: is in namespace {given}, and --namespace is {namespace}")
    _strings(manifest, meta, "metadata")
    if plural == PLURAL:
        _check_balanced(manifest)
    elif plural in BY_PLURAL:
        _check_workload(plural, manifest)
    return {**raw, "metadata": {**meta, "namespace": "" if plural == "namespaces" else given}}


def stored(plural: str, raw: Mapping[str, Any]) -> dict[str, Any]:
    """An object that no cluster has yet, as it would stand there: with an identity, and all pods of its own up."""
    made = {**raw, "metadata": {**raw["metadata"], "uid": UNKNOWN_UID, "resourceVersion": "0"}}
    made.pop("status", None)
    if plural == "deployments":
        replicas = replicas_of(raw)
        made["status"] = {"replicas": replicas, "updatedReplicas": replicas, "availableReplicas": replicas}
    return made


def replicas_of(raw: Mapping[str, Any]) -> int:
    """How many pods a workload is to have, where its manifest tells; else one."""
    replicas = raw["spec"].get("replicas")
    return 1 if replicas is None else int(replicas)


def _check_balanced(manifest: Manifest) -> None:
    spec = _mapping(manifest, manifest.raw.get("spec"), "spec")
    unknown = next(_unknown(_schema(), spec, "spec"), None)
    if unknown is not None:
        raise ManifestError(f"{manifest.title}: {unknown} is not a field of {KIND}")
    try:
        parsed = parse_spec(spec)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        # A union adds the names of its members to the place; they are no fields.
        place = ".".join(str(step) for step in ("spec", *first["loc"]) if not str(step).startswith("constrained"))
        raise ManifestError(f"{manifest.title}: {place}: {first['msg']}") from error
    if (parsed.selector is None) == (parsed.service_ref is None):
        raise ManifestError(f"{manifest.title}: spec: set exactly one of selector and serviceRef")


@functools.cache
def _schema() -> Mapping[str, Any]:
    version = custom_resource_definition()["spec"]["versions"][0]
    found: Mapping[str, Any] = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
    return found


def _unknown(schema: Mapping[str, Any], value: Any, place: str) -> Iterator[str]:
    """Places of fields that the schema does not have."""
    if isinstance(value, list):
        for number, item in enumerate(value):
            yield from _unknown(schema.get("items") or {}, item, f"{place}[{number}]")
    known = schema.get("properties")
    if not isinstance(value, dict) or known is None:
        return
    for key, inner in value.items():
        if key not in known:
            yield f"{place}.{key}"
        else:
            yield from _unknown(known[key], inner, f"{place}.{key}")


def _check_workload(plural: str, manifest: Manifest) -> None:
    kind = BY_PLURAL[plural]
    place, found = "", manifest.raw
    for step in kind.template:
        place = f"{place}.{step}".lstrip(".")
        found = _mapping(manifest, found.get(step), place)
    for field in ("replicas", "minReadySeconds"):
        number = manifest.raw["spec"].get(field)
        if number is not None and not isinstance(number, int):
            raise ManifestError(f"{manifest.title}: spec.{field} must be a number")
    _strings(manifest, _mapping(manifest, found.get("metadata") or {}, f"{place}.metadata"), f"{place}.metadata")
    pod = _mapping(manifest, found.get("spec"), f"{place}.spec")
    for number, container in enumerate(_list(manifest, pod.get("containers"), f"{place}.spec.containers")):
        _check_container(manifest, container, f"{place}.spec.containers[{number}]")


def _check_container(manifest: Manifest, container: Any, place: str) -> None:
    container = _mapping(manifest, container, place)
    _text(manifest, container.get("name"), f"{place}.name")
    for number, item in enumerate(_list(manifest, container.get("env") or [], f"{place}.env")):
        where = f"{place}.env[{number}]"
        entry = _mapping(manifest, item, where)
        _text(manifest, entry.get("name"), f"{where}.name")
        if "value" in entry and entry["value"] is not None:
            _text(manifest, entry["value"], f"{where}.value")
    for number, port in enumerate(_list(manifest, container.get("ports") or [], f"{place}.ports")):
        where = f"{place}.ports[{number}]"
        if not isinstance(_mapping(manifest, port, where).get("containerPort"), int):
            raise ManifestError(f"{manifest.title}: {where}.containerPort must be a number")


def _strings(manifest: Manifest, meta: Mapping[str, Any], place: str) -> None:
    for key in ("annotations", "labels"):
        for name, value in _mapping(manifest, meta.get(key) or {}, f"{place}.{key}").items():
            _text(manifest, value, f"{place}.{key}[{name}]")


def _text(manifest: Manifest, value: Any, place: str) -> None:
    if not isinstance(value, str):
        # Never the value: it may be a secret.
        fix = "is missing" if value is None else "must be a string; put it in quotes"
        raise ManifestError(f"{manifest.title}: {place} {fix}")


def _mapping(manifest: Manifest, value: Any, place: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ManifestError(f"{manifest.title}: {place} {'is missing' if value is None else 'must be a mapping'}")
    return value


def _list(manifest: Manifest, value: Any, place: str) -> list[Any]:
    if not isinstance(value, list):
        raise ManifestError(f"{manifest.title}: {place} {'is missing' if value is None else 'must be a list'}")
    return value
