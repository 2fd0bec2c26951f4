"""What the operator knows of the look-aside balancer (`xds`), a process of its own: only what its replicas tell."""
