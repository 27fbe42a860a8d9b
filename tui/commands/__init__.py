"""One declaration per user action."""
