"""A change of a pod template as a strategic merge patch: our variables, their record, and the volume. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from .kinds import BY_KIND
from .model import Container, Workload
from .names import ANNOTATION_INJECTED, BOOTSTRAP, POD_NAME, PROOF_PATH, PROOF_VOLUME, ZONE
from .values import PROOF, FieldRef, Proof, Value


def merge_patch(
    workload: Workload,
    upserts: Mapping[str, Mapping[str, Value]],
    deletes: Mapping[str, list[str]],
    record: Mapping[str, Mapping[str, str]],
) -> dict[str, Any]:
    """The patch. Its resourceVersion makes any race a 409 instead of a lost edit.

    `upserts` and `deletes` are by container, `record` is what is ours afterwards.
    """
    containers = []
    for container in workload.containers:
        change = _container_patch(container, upserts.get(container.name, {}), deletes.get(container.name, ()))
        if change:
            containers.append({"name": container.name, **change})
    text = json.dumps(record, separators=(",", ":"), sort_keys=True) if record else None
    spec: dict[str, Any] = {"containers": containers, **_volumes(workload, upserts, deletes, record)}
    template = {"metadata": {"annotations": {ANNOTATION_INJECTED: text}}, "spec": spec}
    return {
        "metadata": {"resourceVersion": workload.resource_version},
        **BY_KIND[workload.ref.kind].around(template),
    }


def mounts_proof(kind: str, patch: Mapping[str, Any]) -> bool:
    """Whether pods would need the ConfigMap with the authority's certificate from this patch on."""
    volumes = BY_KIND[kind].pod_template(patch)["spec"].get("volumes", ())
    return any("projected" in volume for volume in volumes)


def _container_patch(container: Container, upserts: Mapping[str, Value], deletes: Sequence[str]) -> dict[str, Any]:
    """What changes of one container."""
    env = [_entry(name, value) for name, value in upserts.items() if not isinstance(value, Proof)]
    mounts: list[dict[str, Any]] = [value.mount() for value in upserts.values() if isinstance(value, Proof)]
    order: list[str] = []
    if _refers(upserts):
        order = [name for name in _ordered(container, [entry["name"] for entry in env]) if name not in deletes]
        # The API server wants the entries of a patch in the order that the patch asks for.
        env.sort(key=lambda entry: order.index(entry["name"]))
    for name in deletes:
        if name == PROOF:
            mounts.append({"mountPath": PROOF_PATH, "$patch": "delete"})
        else:
            env.append({"name": name, "$patch": "delete"})
    parts = {"$setElementOrder/env": [{"name": name} for name in order], "env": env, "volumeMounts": mounts}
    return {key: value for key, value in parts.items() if value}


def _entry(name: str, value: str | FieldRef) -> dict[str, Any]:
    return {"name": name, **({"valueFrom": value.source()} if isinstance(value, FieldRef) else {"value": value})}


def _refers(upserts: Mapping[str, Value]) -> bool:
    """Whether the order matters: a merge puts new entries first, and `$(NAME)` is expanded of earlier ones only."""
    return BOOTSTRAP in upserts or any(isinstance(value, FieldRef) for value in upserts.values())


def _ordered(container: Container, written: list[str]) -> list[str]:
    """All variables of a container as they are to stand: new ones first, the bootstrap after what it refers to.

    All the others stay as they are among each other: the user's may refer to each other, too.
    """
    there = [variable.name for variable in container.env if variable.name != PROOF]
    names = list(dict.fromkeys([*(name for name in written if name not in there), *there]))
    last = max((names.index(name) for name in (POD_NAME, ZONE) if name in names), default=-1)
    if BOOTSTRAP in written and names.index(BOOTSTRAP) < last:
        names.insert(last, names.pop(names.index(BOOTSTRAP)))
    return names


def _volumes(
    workload: Workload,
    upserts: Mapping[str, Mapping[str, Value]],
    deletes: Mapping[str, Sequence[str]],
    record: Mapping[str, Mapping[str, str]],
) -> dict[str, Any]:
    """The pod's volume, with the first container that mounts it, and without it when the last one lets go."""
    wanted = [value for values in upserts.values() for value in values.values() if isinstance(value, Proof)]
    if wanted:
        return {"volumes": [wanted[0].volume()]}
    if any(PROOF in names for names in record.values()):
        return {}
    let_go = [name for name, names in deletes.items() if PROOF in names]
    last = bool(let_go) and workload.proof_mounts <= set(let_go)
    # Of a container that is no more; as it was written, since it may be somebody's by now.
    spare = any(
        dict(values).get(PROOF) == workload.spare_proof for _, values in workload.record if PROOF in dict(values)
    )
    return {"volumes": [{"name": PROOF_VOLUME, "$patch": "delete"}]} if last or spare else {}
