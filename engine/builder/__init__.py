"""Building images: what a Containerfile says, done on our own runtime."""
