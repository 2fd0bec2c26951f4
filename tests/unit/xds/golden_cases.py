"""Cases of the golden files: everything that is built for one client, as JSON. `python -m tests.unit.xds.golden_cases`
writes the files anew; look at the difference before you commit it, since each line of it reaches every client.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from google.protobuf.json_format import MessageToDict

from grpcbalance.xds.resources.catalog import Variant, build
from grpcbalance.xds.resources.features import BASELINE, Features
from tests.unit import factories as make
from tests.unit.xds.client_rules import message_of
from tests.unit.xds.states import ALL, TWO_ZONES, Raw, served_by

FOLDER = Path(__file__).parent / "golden"

OUTLIERS = {"successRate": {"stdevFactor": 2000}, "interval": "1500ms", "maxEjectionPercent": 50}
FAILURES = {"failurePercentage": {"threshold": 50}, "baseEjectionTime": "1m"}
RETRY = {"mode": "Unavailable", "maxAttempts": 4, "maxBackoff": "2s"}
MUCH = {"policy": "LeastRequest", "retry": RETRY, "outlierDetection": OUTLIERS, "maxRequests": 100}
IPV6 = (make.endpoint_slice(endpoints=[make.endpoint("fd00::2", ready=True), make.endpoint("fd00:0::1", ready=True)]),)

# file -> spec.client, slices, features and zone of the client
CASES: dict[str, tuple[dict[str, Any], tuple[Raw, ...], Features, str]] = {
    "default": ({}, TWO_ZONES, ALL, ""),
    "no-endpoints": ({}, (make.endpoint_slice(ports=()),), ALL, ""),
    "ipv6": ({}, IPV6, ALL, ""),
    "much": (MUCH, TWO_ZONES, ALL, ""),
    "much-for-an-unknown-client": (MUCH, TWO_ZONES, BASELINE, ""),
    "weighted-round-robin": ({"policy": "WeightedRoundRobin", "outlierDetection": FAILURES}, TWO_ZONES, ALL, ""),
    "pick-first": ({"policy": "PickFirst"}, TWO_ZONES, ALL, ""),
    "own-zone-first": ({"zonePreference": "Prefer"}, TWO_ZONES, ALL, "b"),
    "zone-unknown": ({"zonePreference": "Prefer"}, TWO_ZONES, ALL, "elsewhere"),
}


def rendered(case: str) -> str:
    """What a case's file has to hold. No versions: they would hide which difference matters."""
    client, slices, features, zone = CASES[case]
    resources = build(served_by(client, slices), Variant(features, zone))
    shown = {
        kind.rpartition(".")[2]: {name: MessageToDict(message_of(one)) for name, one in named.items()}
        for kind, named in resources.items()
    }
    return json.dumps(shown, indent=2, sort_keys=True) + "\n"


def path(case: str) -> Path:
    """The file of a case."""
    return FOLDER / f"{case}.json"


def main() -> None:
    """Write all files anew, and remove those of no case."""
    for file in FOLDER.glob("*.json"):
        file.unlink()
    for case in CASES:
        path(case).write_text(rendered(case))


if __name__ == "__main__":
    main()
