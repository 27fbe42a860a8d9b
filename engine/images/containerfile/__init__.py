"""What a Containerfile says, and what its instructions make of an image: all but running it."""
