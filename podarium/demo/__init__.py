"""The demo: plain Kubernetes manifests."""
