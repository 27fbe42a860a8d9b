"""The embedded engine: everything that runs without a screen."""
