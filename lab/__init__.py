"""A whole Kubernetes cluster on one Linux machine, for tests, demo and benchmarks. See lab/README.md."""

from .audit import AuditRecord
from .cluster import Lab
from .existing import ExistingCluster, open_cluster
from .model import Cluster, Component, LabError, Unsupported

__all__ = [
    "AuditRecord",
    "Cluster",
    "Component",
    "ExistingCluster",
    "Lab",
    "LabError",
    "Unsupported",
    "open_cluster",
]
