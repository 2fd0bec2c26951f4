"""JSON on stdout, one object a line, each written at once."""

import json
import sys
from collections.abc import Mapping
from datetime import UTC, datetime


def now() -> str:
    """Return the time in UTC, RFC 3339; trailing zeros of the fraction are left out."""
    moment = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}"
    return moment.rstrip("0").removesuffix(".") + "Z"


def write(line: Mapping[str, object]) -> None:
    """Write one line."""
    sys.stdout.write(json.dumps(line, separators=(",", ":")) + "\n")
    sys.stdout.flush()
