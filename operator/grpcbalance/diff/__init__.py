"""`grpcbalance diff`: what the operator would do, without doing it. The second caller of what decides."""
