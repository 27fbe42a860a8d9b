"""Images from and to registries: the distribution protocol."""
