"""Which Kubernetes the API speaks, and which Podarium this is."""

from __future__ import annotations

PODARIUM = "0.1.0"
MAJOR, MINOR = "1", "33"
KUBERNETES = f"v{MAJOR}.{MINOR}.0+podarium"
"""What the API server and the kubelets say they are; a kubelet is never newer than its server."""
