"""Published numbers, and results that this project measured."""
