"""Revisions of objects, watched and durable."""
