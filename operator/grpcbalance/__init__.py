"""grpcbalance: a Kubernetes operator that spreads gRPC load over every pod of a service."""

__version__ = "0.1.0"
