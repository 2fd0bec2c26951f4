"""O4: what statuses claimed at each moment, compared with what there was. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

from tests.faults.history import GBS, SERVICES, SLICES, TEMPLATES, History, Object, State, annotations_of, template
from tests.faults.oracles import PREFIX, RECORD

# What status says may come so much later than what it tells of, or earlier than a change that it cannot know of yet.
COUNTS_LATE: Final = 5.0
CLAIM_LATE: Final = 3.0


def dishonest(history: History, excused: Sequence[tuple[float, float]] = (), end: float | None = None) -> list[str]:
    """What statuses of one namespace claimed, at any moment, that was not so.

    `excused`: times, in seconds since the epoch, in which a fault kept the operator from knowing; `end`: until when
    the last state stood.
    """
    return [*_false_claims(history), *_wrong_counts(history, excused, end)]


def _false_claims(history: History) -> Iterator[str]:
    # Of each object: when its claims were true. Specs by generation, since a status speaks of one.
    held: dict[str, list[tuple[float, bool]]] = {}
    specs: dict[tuple[str, int], Object] = {}
    told: dict[str, Any] = {}
    for seen, state in history.steps():
        for (plural, name), item in list(state.items()):
            if plural != GBS:
                continue
            generation, status = item["metadata"]["generation"], item.get("status", {})
            specs[item["metadata"]["uid"], generation] = item["spec"]
            observed = status.get("observedGeneration", 0)
            spec: Object = specs.get((item["metadata"]["uid"], observed)) or item["spec"]
            moments = held.setdefault(item["metadata"]["uid"], [])
            moments.append((seen.time, _stands(state, name, item, spec)))
            if seen.key != (GBS, name) or told.get(name) == status:
                continue
            told[name] = status
            for condition in status.get("conditions", []):
                if (told_of := condition.get("observedGeneration", 0)) > generation:
                    yield f"{name}: {condition['type']} is told of generation {told_of}, before it was"
            if _is(status, "Ready") and not within_time(moments, seen.time):
                yield f"{name}: Ready, though its Service or its servers' variables are not there"


def within_time(moments: list[tuple[float, bool]], now: float) -> bool:
    """Whether a claim was true at some moment that the operator may have looked at."""
    earlier = [held for moment, held in moments if moment <= now - CLAIM_LATE]
    return any([*earlier[-1:], *(held for moment, held in moments if moment > now - CLAIM_LATE)])


def _stands(state: State, name: str, item: Object, spec: Object) -> bool:
    """Whether the Service of an object exists, and its servers carry what the spec says."""
    service = state.get((SERVICES, spec.get("serviceName", f"{name}-headless")))
    if service is None or annotations_of(service).get(f"{PREFIX}owner-uid") != item["metadata"]["uid"]:
        return False
    if spec.get("server", {}).get("mode") == "Unmanaged":
        return True
    servers = [
        template(plural, workload)
        for (plural, _), workload in state.items()
        if plural in TEMPLATES and _serves(plural, workload, name)
    ]
    return bool(servers) and all(_has_age(made, spec) for made in servers)


def _serves(plural: str, workload: Object, name: str) -> bool:
    key = f"{PREFIX}server"
    found = annotations_of(template(plural, workload)) | annotations_of(workload)
    return found.get(key) == name


def _has_age(made: Object, spec: Object) -> bool:
    if RECORD not in annotations_of(made):
        return False
    minutes = re.fullmatch(r"(\d+)m", spec.get("server", {}).get("maxConnectionAge", "5m"))
    if minutes is None:
        return True
    env = {e["name"]: e.get("value") for c in made["spec"]["containers"] for e in c.get("env", [])}
    return env.get("GRPC_SERVER_MAX_CONNECTION_AGE_MS") == str(int(minutes[1]) * 60_000)


def _wrong_counts(history: History, excused: Sequence[tuple[float, float]], end: float | None) -> Iterator[str]:
    wrong: dict[str, tuple[float, str]] = {}
    for seen, state in history.steps():
        yield from _too_late(wrong, seen.time, excused)
        for (plural, name), item in state.items():
            if plural == GBS:
                complaint = _miscounted(state, name, item)
                if complaint is None:
                    wrong.pop(name, None)
                else:
                    wrong[name] = wrong.get(name, (seen.time, ""))[0], complaint
        for name in [name for name in wrong if (GBS, name) not in state]:
            del wrong[name]
    yield from _too_late(wrong, end or 0.0, excused)


def _too_late(wrong: dict[str, tuple[float, str]], now: float, excused: Sequence[tuple[float, float]]) -> Iterator[str]:
    for name, (since, complaint) in list(wrong.items()):
        excuse = sum(max(0.0, min(now, stop) - max(since, start)) for start, stop in excused)
        if now - since - excuse > COUNTS_LATE:
            del wrong[name]
            yield f"{name}: {complaint} for {now - since:.1f} s"


def _miscounted(state: State, name: str, item: Object) -> str | None:
    told = item.get("status", {}).get("endpoints")
    if told is None:
        return None
    service = item["spec"].get("serviceName", f"{name}-headless")
    # Both, since the Service of that name may be another object's.
    wanted = {"kubernetes.io/service-name": service, f"{PREFIX}service": name}
    ready: dict[str, bool] = {}
    for (plural, _), found in state.items():
        if plural != SLICES or not wanted.items() <= found["metadata"].get("labels", {}).items():
            continue
        for endpoint in found.get("endpoints") or []:
            is_ready = (endpoint.get("conditions") or {}).get("ready") is not False
            for address in endpoint["addresses"][:1]:
                ready[address] = ready.get(address, False) or is_ready
    if (told.get("ready", 0), told.get("total", 0)) == (sum(ready.values()), len(ready)):
        return None
    said, true = f"{told.get('ready', 0)}/{told.get('total', 0)}", f"{sum(ready.values())}/{len(ready)}"
    return f"status tells {said} endpoints, {true} there are"


def _is(status: Object, kind: str) -> bool:
    return any(c["type"] == kind and c["status"] == "True" for c in status.get("conditions", []))
