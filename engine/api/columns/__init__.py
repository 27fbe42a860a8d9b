"""Cells of the tables, by family of kinds."""
