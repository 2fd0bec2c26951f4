"""The API server's audit log as records: who asked for what, and what came of it.

Reads files only. Format: audit.k8s.io/v1 Event, one JSON object a line, level Metadata.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

WRITING_VERBS: Final = frozenset({"create", "update", "patch", "delete", "deletecollection"})
# Created like objects, but only questions: nothing is stored.
_QUESTIONS: Final = frozenset({"selfsubjectaccessreviews"})


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """One request. `time` is when the API server received it; `code` is the HTTP status (0 if it panicked).

    Requests that name no resource, such as /readyz, have an empty `resource`.
    """

    time: datetime
    user: str
    user_agent: str
    verb: str
    group: str
    resource: str
    subresource: str
    namespace: str
    name: str
    code: int
    uri: str
    # what the API server notes about the request, such as authorization.k8s.io/decision
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def full_resource(self) -> str:
        """The resource as RBAC names it: with its subresource, if it is one."""
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource

    @property
    def wrote(self) -> bool:
        """Whether it was a write that the API server carried out."""
        return self.verb in WRITING_VERBS and self.resource not in _QUESTIONS and 200 <= self.code < 300

    @property
    def forbidden(self) -> bool:
        """Whether the user lacked the permission; what admission refuses is something else."""
        return self.annotations.get("authorization.k8s.io/decision") == "forbid"


def records(lines: Iterable[str], since: datetime | None = None) -> Iterator[AuditRecord]:
    """Records of log lines, one per request, those received before `since` left out.

    A long request (watch, logs --follow) is logged when its answer starts and when it ends: the first counts.
    A last line without an end is still being written and is left out.
    """
    started: set[str] = set()
    for line in lines:
        if not line.endswith("\n"):
            return
        event = json.loads(line)
        if event["stage"] == "ResponseStarted":
            started.add(event["auditID"])
        elif event["auditID"] in started:
            started.discard(event["auditID"])
            continue
        record = _record(event)
        if since is None or record.time >= since:
            yield record


def written_by(user: str, lines: Iterable[str], since: datetime | None = None) -> list[AuditRecord]:
    """What one user wrote with success, oldest first."""
    # Most lines are somebody else's: looking for the name is many times quicker than reading the JSON.
    quoted = json.dumps(user)
    own = (line for line in lines if quoted in line)
    return [record for record in records(own, since) if record.user == user and record.wrote]


def _record(event: dict[str, Any]) -> AuditRecord:
    target = event.get("objectRef", {})
    return AuditRecord(
        time=datetime.fromisoformat(event["requestReceivedTimestamp"]),
        user=event.get("user", {}).get("username", ""),
        user_agent=event.get("userAgent", ""),
        verb=event["verb"],
        group=target.get("apiGroup", ""),
        resource=target.get("resource", ""),
        subresource=target.get("subresource", ""),
        namespace=target.get("namespace", ""),
        name=target.get("name", ""),
        code=event.get("responseStatus", {}).get("code", 0),
        uri=event.get("requestURI", ""),
        annotations=event.get("annotations", {}),
    )
