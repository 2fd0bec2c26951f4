"""`grpcbalance status`: how objects stand, as status has it, and who is connected to the look-aside balancer."""
