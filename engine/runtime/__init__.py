"""The container runtime: spec, plan, apply."""
