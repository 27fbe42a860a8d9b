"""What is in an image: trees, changes, waste, and which layer brought what; without a mount."""
