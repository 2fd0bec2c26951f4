"""Benchmarks: counts are gates, times are trends."""
