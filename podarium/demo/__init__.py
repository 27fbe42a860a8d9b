"""The demo: plain Kubernetes manifests, one file per workload."""

from __future__ import annotations

from pathlib import Path


def manifests() -> list[Path]:
    """In the order in which they are applied."""
    return sorted(Path(__file__).parent.glob("*.yaml"))
