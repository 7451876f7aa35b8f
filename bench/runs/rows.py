"""Names of rows that are no method's: the original, the real images, snapshots of a training."""

from __future__ import annotations

REFERENCE, ORIGINAL = "reference", "original"
SNAPSHOT = "@"  # between a row and a training step
UNRANKED_ROWS = (ORIGINAL, REFERENCE)
