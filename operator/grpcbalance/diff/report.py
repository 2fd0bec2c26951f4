"""What `grpcbalance diff` answers with: the documented structure of its JSON and YAML output. Pure.

Every key is always there, so that scripts need not ask. A new key may come; none changes its meaning within `v1`.
"""

from __future__ import annotations

from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

VERSION: Final = "v1"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, validate_by_name=True)


class FieldChange(_Part):
    """A field of a Service; None where it is absent."""

    path: str
    old: Any
    new: Any


class ServiceChange(_Part):
    """A headless Service that would be written. Retire: nothing needs it any more, and it is deleted after a while."""

    namespace: str
    name: str
    balanced: str
    action: Literal["Create", "Change", "Retire"]
    fields: tuple[FieldChange, ...]
    message: str


class VariableChange(_Part):
    """A variable of ours, with values as they are stored: one line, unescaped."""

    name: str
    change: Literal["Add", "Change", "Remove"]
    old: str | None
    new: str | None


class ContainerChange(_Part):
    """The variables of one container that differ."""

    name: str
    variables: tuple[VariableChange, ...]


class Restart(_Part):
    """Pods that would be replaced. `names` is None where no cluster was asked."""

    pods: int
    names: tuple[str, ...] | None


class Told(_Part):
    """Where a workload stands with one service, in the words of its status."""

    service: str | None
    role: str | None
    state: str
    reason: str
    message: str


class WorkloadChange(_Part):
    """A workload that would be written (Write), is kept back (Wait: a change is due) or only has something to tell."""

    kind: str
    namespace: str
    name: str
    action: Literal["Write", "Wait", "None"]
    containers: tuple[ContainerChange, ...]
    restart: Restart | None
    findings: tuple[Told, ...]
    note: str


class Condition(_Part):
    """A condition that would not be as it should."""

    type: str
    status: str
    reason: str
    message: str


class BalancedTold(_Part):
    """A GrpcBalancedService with trouble of its own."""

    namespace: str
    name: str
    conditions: tuple[Condition, ...]


class Summary(_Part):
    """Counts. `pods` are those that would be replaced, `waiting` and `refused` are workloads."""

    services: int
    workloads: int
    pods: int
    waiting: int
    refused: int


class Report(_Part):
    """All of it."""

    version: str = VERSION
    cluster: bool
    assumptions: tuple[str, ...]
    services: tuple[ServiceChange, ...]
    workloads: tuple[WorkloadChange, ...]
    balanced: tuple[BalancedTold, ...]
    summary: Summary

    @property
    def changed(self) -> bool:
        """Whether anything would be written."""
        return bool(self.summary.services or self.summary.workloads)
