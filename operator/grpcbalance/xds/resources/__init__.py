"""The xDS resources that a gRPC client needs for one service, built from what the operator knows. Pure.

`catalog` is the way in: `served` reads a service's state, `variant` a client, `build` makes the resources. Below it
stand `names`, `listener`, `cluster` and `endpoints`, `features` (what a client can take) and `downgrades` (what it
cannot). The rules are those of the gRFCs that are named; what is built was tried on clients in Python and Node.js.
"""
