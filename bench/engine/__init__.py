"""A plan becomes work, and the work goes through erase, draw and score, cell by cell, resumable."""
