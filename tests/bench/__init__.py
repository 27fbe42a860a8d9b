"""Benchmarks: medians and spread of several runs, each in a home and a cluster of its own."""
