"""The command: what a shell types."""
