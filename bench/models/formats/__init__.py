"""Weights that others made, as rows of a table: one form of file each."""
