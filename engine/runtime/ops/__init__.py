"""What a container start consists of: one small class an operation."""
