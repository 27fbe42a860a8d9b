"""The fabric between nodes and the addresses of pods."""
