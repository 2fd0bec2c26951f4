"""What the look-aside balancer goes on with when an object is gone: a part of its spec, kept on its headless Service.

A balancer that starts anew finds the Service only, and has to tell its clients what it told them before. Pure.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from typing import Any, Final

from pydantic import ValidationError

from .api import Spec

# Characters. What the longest selector takes, and all else that is kept, is less than half of it.
LONGEST: Final = 16_384
# Of the API's types, all that clients are told over xDS, and who may be one.
_FIELDS: Final[Mapping[str, Any]] = {
    "client": {
        "policy": True,
        "retry": {"mode", "max_attempts", "initial_backoff", "max_backoff"},
        "zone_preference": True,
        "max_requests": True,
        "outlier_detection": True,
    },
    "allowed_clients": True,
}


@functools.lru_cache(maxsize=1024)
def kept_text(text: str) -> str | None:
    """What to keep of the spec of an object, as canonical JSON: what differs from defaults. None: there is nothing."""
    spec = _read(text)
    if spec is None or spec.discovery != "XDS":
        # Clients that follow DNS ask nobody.
        return None
    part = Spec.model_validate(spec.model_dump(include=dict(_FIELDS)))
    differing = part.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return json.dumps(differing, separators=(",", ":"), sort_keys=True) if differing else None


@functools.lru_cache(maxsize=1024)
def kept_spec(text: str) -> Spec | None:
    """The spec that a text was kept of, as far as it was kept; None where it is none that an object could have.

    Whoever may change Services may have written it, so nothing counts that an object could not say.
    """
    return _read(text) if len(text) <= LONGEST else None


def next_text(live: str | None, wanted: str | None) -> str | None:
    """The annotation that a server-side apply is to set now, so that what is `live` becomes what is `wanted`.

    An apply takes nothing away that a POST or a person set. But what it changes is its own: it empties the annotation,
    and leaves it out the next time.
    """
    return "" if wanted is None and live else wanted


def _read(text: str) -> Spec | None:
    try:
        return Spec.model_validate_json(text)
    except ValidationError:
        return None
