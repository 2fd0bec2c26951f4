"""What is put under a name into a container: text, a field of the pod, or a volume with what proves who the pod is.

All are compared by digest only, and one record lists them all. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from .names import AUDIENCE, AUTHORITY, AUTHORITY_KEY, PROOF_PATH, PROOF_VOLUME, value_hash

# The volume's name in a record and in messages. The slash tells it apart from variables, which never have one here.
PROOF: Final = f"volume/{PROOF_VOLUME}"


class FieldRef(NamedTuple):
    """A field of the pod (downward API), such as `metadata.name`."""

    path: str

    def source(self) -> dict[str, Any]:
        """The entry's `valueFrom`."""
        return {"fieldRef": {"fieldPath": self.path}}


class Proof(NamedTuple):
    """A token of the pod's service account, and the certificate of who signed the look-aside balancer's.

    `authority` is the name of the ConfigMap, in the pod's namespace, that has the certificate under `ca.crt`.
    """

    authority: str = AUTHORITY

    def volume(self) -> dict[str, Any]:
        """The pod's volume. The kubelet replaces the token when four fifths of its hour are over."""
        token = {"audience": AUDIENCE, "expirationSeconds": 3600, "path": "token"}
        authority = {"name": self.authority, "items": [{"key": AUTHORITY_KEY, "path": AUTHORITY_KEY}]}
        return {
            "name": PROOF_VOLUME,
            "projected": {"sources": [{"serviceAccountToken": token}, {"configMap": authority}]},
        }

    def mount(self) -> dict[str, Any]:
        """The container's mount."""
        return {"name": PROOF_VOLUME, "mountPath": PROOF_PATH, "readOnly": True}


Value = str | FieldRef | Proof


def digest(value: Value) -> str:
    """What the record keeps of a value."""
    if isinstance(value, FieldRef):
        return field_digest(value.path)
    return value_hash(value) if isinstance(value, str) else proof_digest(value.mount(), value.volume())


def field_digest(path: str) -> str:
    """Digest of an entry with `valueFrom.fieldRef`. No text has it, since none has a NUL."""
    return value_hash(f"\0field {path}")


def proof_digest(mount: Mapping[str, Any] | None, volume: Mapping[str, Any]) -> str:
    """Digest of a mount and its volume as they stand in a template, apart from what the API server fills in."""
    projected = {key: value for key, value in (volume.get("projected") or {}).items() if key != "defaultMode"}
    known = {key: value for key, value in volume.items() if key != "projected"} | {"projected": projected}
    return value_hash("\0volume " + json.dumps([mount, known], sort_keys=True))
