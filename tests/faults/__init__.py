"""Faults between the operator and its cluster, and the oracles that judge what came of them."""
