"""Which node a pod goes to, and why."""
