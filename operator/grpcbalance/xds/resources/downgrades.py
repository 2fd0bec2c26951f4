"""What of a spec a client on xDS does not do, and what it does instead, as data for status. Pure."""

from __future__ import annotations

from typing import Final, NamedTuple

from grpcbalance.api import Client

from .cluster import FEATURE_OF
from .features import Agent


class Downgrade(NamedTuple):
    """A field of the spec, and what becomes of it."""

    feature: str
    what: str


# A44 has no field for it; libraries multiply by this.
_MULTIPLIER: Final = 2.0


def of_protocol(client: Client) -> tuple[Downgrade, ...]:
    """What no client does on xDS, since xDS has no words for it: a service config is ignored there."""
    found = []
    if client.retry.mode != "Off":
        if client.retry.backoff_multiplier != _MULTIPLIER:
            found.append(Downgrade("client.retry.backoffMultiplier", "waits double each time (A44)"))
        if client.retry.throttling.mode != "Off":
            found.append(Downgrade("client.retry.throttling", "retries go on while most calls fail (A44)"))
    if client.wait_for_ready:
        found.append(Downgrade("client.waitForReady", "calls fail while there is no connection; set it in the code"))
    if client.health_check is not None:
        found.append(Downgrade("client.healthCheck", "readiness of the pods alone decides"))
    if client.service_config.strip():
        found.append(Downgrade("client.serviceConfig", "is ignored"))
    return tuple(found)


def of_client(client: Client, agent: Agent) -> tuple[Downgrade, ...]:
    """What this client does not do, or only with a variable set in it, though others do."""
    found, switches = [], dict(agent.switches)
    for feature, (field, instead) in _wanted(client).items():
        if not getattr(agent.features, feature):
            found.append(Downgrade(field, instead))
        elif feature in switches:
            found.append(Downgrade(field, f"{instead}, unless the client has {switches[feature]}=true"))
    return tuple(found)


def _wanted(client: Client) -> dict[str, tuple[str, str]]:
    """Feature -> the field that needs it, and what happens without."""
    wanted: dict[str, tuple[str, str]] = {}
    if client.retry.mode != "Off":
        wanted["retry"] = ("client.retry", "no retries")
    if client.policy in FEATURE_OF:
        wanted[FEATURE_OF[client.policy]] = ("client.policy", "RoundRobin")
    if client.zone_preference == "Prefer":
        wanted["priorities"] = ("client.zonePreference", "no zone is preferred")
    if client.outlier_detection is not None:
        wanted["outlier_detection"] = ("client.outlierDetection", "no endpoint is left out")
    return wanted


def features_of(client: Client) -> frozenset[str]:
    """The features that make a difference to this spec's clients. That outlier detection is off is said, too.

    Priorities are not among them: they make one by the zone alone.
    """
    return frozenset((*_wanted(client), "outlier_detection")) - {"priorities"}
