"""What the cluster tests and benchmarks share: objects to create, the installed operator, RPC records."""
