"""What an object must be before it is stored: completed with defaults, then checked."""
