"""The declared API types and what is derived from them."""
