"""Attacks on the machine from inside real containers, each of which must fail."""
