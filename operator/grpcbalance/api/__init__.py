"""Types of the API `grpcbalance.dev/v1alpha1`: the source of the CRD and the reader of live objects."""

from __future__ import annotations

from .client import Client
from .reasons import ConditionType, Reason
from .scalars import OFF, milliseconds
from .server import Server
from .spec import LabelSelector, LabelSelectorRequirement, Spec, parse_spec
from .status import CONFIGURED, MAX_DOWNGRADES, MAX_WORKLOADS, PENDING, REFUSED, Status

__all__ = [
    "CONFIGURED",
    "MAX_DOWNGRADES",
    "MAX_WORKLOADS",
    "OFF",
    "PENDING",
    "REFUSED",
    "Client",
    "ConditionType",
    "LabelSelector",
    "LabelSelectorRequirement",
    "Reason",
    "Server",
    "Spec",
    "Status",
    "milliseconds",
    "parse_spec",
]
