"""Types of the API `grpcbalance.dev/v1alpha1`: the source of the CRD and the reader of live objects."""

from __future__ import annotations

from .client import Client
from .reasons import ConditionType, Reason
from .scalars import OFF, milliseconds
from .server import Server
from .spec import LabelSelector, LabelSelectorRequirement, Spec, parse_spec
from .status import MAX_WORKLOADS, Status

__all__ = [
    "MAX_WORKLOADS",
    "OFF",
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
