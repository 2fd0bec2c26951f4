module grpcbalance.dev/tests/lab/probe

go 1.26.0
