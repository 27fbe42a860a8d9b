"""One node's pods."""
