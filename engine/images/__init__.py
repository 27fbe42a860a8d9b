"""Images: content, layers, archives, root filesystems."""
