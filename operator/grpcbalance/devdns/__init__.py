"""A DNS server for development: it answers for headless Services as a cluster's DNS does. `grpcbalance dev dns`."""
