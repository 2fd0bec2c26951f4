"""The look-aside balancer: serves gRPC clients over xDS what status, Services and EndpointSlices say.

`resources` builds what is served, `session` keeps the protocol with one client, both pure; `server` is the gRPC
around them.
"""
