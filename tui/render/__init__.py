"""Pure functions from values to text."""
