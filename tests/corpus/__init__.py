"""Manifests of well-known gRPC systems, rewritten small, each with what injection must do to it."""
