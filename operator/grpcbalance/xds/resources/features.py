"""What a client can take, by what it says of itself in its first request. Pure.

A gRPC client ignores what it does not know and refuses (NACKs) a value that it does not know of a field that it does.
Everything that is sent is safe on both counts; features decide what is worth sending, and what status tells.

Sources: grpc/grpc doc/grpc_xds_features.md, release notes, source code and measurements. A32 (max_requests) is in no
row, as every client since 1.41 has it; neither is A61 (dual stack), as our Services have one address family.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Final, NamedTuple

Version = tuple[int, int, int]


@dataclasses.dataclass(frozen=True, slots=True)
class Features:
    """What a client makes use of. The default is what all clients since 1.41 have in common: none of it.

    `retry` is A44, `outlier_detection` A50; `priorities`: endpoints of one priority take over from those of another
    while calls go on (A27). The three policies are those of a cluster's load_balancing_policy (A52):
    `weighted_round_robin` A58, `least_request` A48, `pick_first` A62; no client has one of them without A52.
    """

    retry: bool = False
    outlier_detection: bool = False
    priorities: bool = False
    weighted_round_robin: bool = False
    least_request: bool = False
    pick_first: bool = False

    def only(self, wanted: frozenset[str]) -> Features:
        """The same without the features that are not wanted: clients that differ in those alone become equal."""
        return Features(**{name: name in wanted and getattr(self, name) for name in FEATURES})


FEATURES: Final = tuple(field.name for field in dataclasses.fields(Features))
BASELINE: Final = Features()


class Since(NamedTuple):
    """The first release with a feature. `switch` is a variable that must be "true" in releases before `default`."""

    version: Version
    switch: str = ""
    default: Version | None = None


class Library(NamedTuple):
    """A gRPC library: how it names itself and its version, and what it has since when."""

    name: re.Pattern[str]
    version: re.Pattern[str]
    since: Mapping[str, Since]


_RELEASE: Final = re.compile(r"([0-9]{1,4})\.([0-9]{1,4})(?:\.([0-9]{1,4}))?")
_PICK_FIRST_SWITCH: Final = "GRPC_EXPERIMENTAL_PICKFIRST_LB_CONFIG"

C_CORE: Final = Library(
    # "gRPC C-core linux Python", "C-core 58.0.0 Python 1.85.3": the core has a number of its own, read off the wheels
    # of grpcio: 1.41 is 19, 1.51 is 29, 1.55 is 32, 1.58 is 35.
    re.compile(r"gRPC C-core( .*)?"),
    re.compile(r"C-core ([0-9]{1,4})\.([0-9]{1,4})(?:\.([0-9]{1,4}))?"),
    {
        "retry": Since((19, 0, 0)),
        "priorities": Since((19, 0, 0)),
        "outlier_detection": Since((29, 0, 0)),
        "weighted_round_robin": Since((32, 0, 0)),
        "pick_first": Since((35, 0, 0)),
    },
)
JAVA: Final = Library(
    re.compile("gRPC Java"),
    _RELEASE,
    # No outlier detection (A50, since 1.49), not even one that is off: OutlierDetectionLoadBalancer counts each call at
    # its end, on what it knows of the endpoint. That is null for all of pick_first, and since 1.60.0 (grpc-java 10683)
    # for an endpoint that is just being removed. The exception is thrown before anybody is told of the end (grpc-java
    # issue 7373): the call hangs for ever, whatever its deadline. So it is in 1.85.1, the newest in November 2026.
    {
        "retry": Since((1, 40, 1)),
        "priorities": Since((1, 41, 0)),
        "least_request": Since((1, 48, 0)),
        # 1.54 has it too, switched off; 1.58.0 lacked what 1.58.1 brought.
        "weighted_round_robin": Since((1, 55, 0)),
        "pick_first": Since((1, 58, 1)),
    },
)
GO: Final = Library(
    re.compile("gRPC Go"),
    _RELEASE,
    {
        "priorities": Since((1, 41, 0)),
        "retry": Since((1, 41, 0)),
        "outlier_detection": Since((1, 50, 0)),
        "weighted_round_robin": Since((1, 56, 0)),
        "least_request": Since((1, 58, 0), "GRPC_EXPERIMENTAL_ENABLE_LEAST_REQUEST", (1, 72, 0)),
        "pick_first": Since((1, 56, 0)),
    },
)
NODE: Final = Library(
    # Versions are those of @grpc/grpc-js-xds.
    re.compile("gRPC Node Pure JS"),
    _RELEASE,
    {
        "retry": Since((1, 8, 0)),
        "priorities": Since((1, 4, 0)),
        "outlier_detection": Since((1, 7, 0)),
        "weighted_round_robin": Since((1, 14, 0), "GRPC_EXPERIMENTAL_XDS_WRR_LB"),
        "pick_first": Since((1, 10, 0), _PICK_FIRST_SWITCH),
    },
)
LIBRARIES: Final = (C_CORE, JAVA, GO, NODE)


@dataclasses.dataclass(frozen=True, slots=True)
class Agent:
    """What is known of a client. `switches`: features that it has only if a variable is "true" in it, each with
    the variable.
    """

    features: Features = BASELINE
    switches: tuple[tuple[str, str], ...] = ()


def agent(user_agent_name: str, user_agent_version: str) -> Agent:
    """What a client can take, by `user_agent_name` and `user_agent_version` of its Node message.

    A feature behind a switch counts as one: clients without the variable skip it. A client or a version that is not
    known takes what all take.
    """
    library = next((one for one in LIBRARIES if one.name.fullmatch(user_agent_name)), None)
    found = library.version.match(user_agent_version) if library else None
    if library is None or found is None:
        return Agent()
    version = (int(found[1]), int(found[2]), int(found[3] or 0))
    had = {name: since for name, since in library.since.items() if version >= since.version}
    switches = tuple(
        (name, since.switch)
        for name, since in had.items()
        if since.switch and (since.default is None or version < since.default)
    )
    return Agent(Features(**dict.fromkeys(had, True)), switches)
