"""The service config of a TXT record: read as JSON text, checked as `spec.client.serviceConfig` is. Pure.

A record that one library refuses makes all its clients fail, whatever config they bring themselves.
"""

from __future__ import annotations

import json
from typing import Any, Final

from grpcbalance.service_config import ServiceConfigError, parse_user_config

# As much as clients can be given by `spec.client.serviceConfig`.
_LONGEST: Final = 16_384
_POLICIES: Final = "loadBalancingConfig"


def canonical(text: str) -> str:
    """A service config as one line of JSON. Raises ServiceConfigError when some gRPC library would refuse it."""
    if len(text) > _LONGEST:
        raise ServiceConfigError(f"is {len(text)} characters long; {_LONGEST} at most")
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ServiceConfigError(f"not JSON: {error}") from error
    if not isinstance(raw, dict):
        raise ServiceConfigError("must be a JSON object")
    policies = _policies(raw.pop(_POLICIES, None))
    rest = parse_user_config(json.dumps(raw)) if raw else {}
    return json.dumps({**policies, **rest}, separators=(",", ":"), ensure_ascii=True)


def _policies(raw: Any) -> dict[str, Any]:
    """The list of policies, if there is one; libraries take the first that they know."""
    if raw is None:
        return {}
    entries = raw if isinstance(raw, list) else []
    if not entries or not all(isinstance(e, dict) and [type(v) for v in e.values()] == [dict] for e in entries):
        example = '[{"round_robin":{}}]'
        raise ServiceConfigError(f"{_POLICIES}: must be a list of objects with one key each, such as {example}")
    if not any(name in ("round_robin", "pick_first") for entry in entries for name in entry):
        raise ServiceConfigError(f"{_POLICIES}: must have round_robin or pick_first in it, which every library knows")
    return {_POLICIES: entries}
