"""Names of rows: those that are no method's, and finding one by its name."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import unknown
from ..registry import METHODS

REFERENCE, ORIGINAL = "reference", "original"
SNAPSHOT = "@"  # between a row and a training step
UNRANKED_ROWS = (ORIGINAL, REFERENCE)


def resolve_row(name: str, rows: Sequence[str]) -> str:
    """A row of a run by its name or its method's alias.

    Raises:
        BenchError: the run has no such row; names the nearest.
    """
    found = name if name in rows else METHODS.aliases().get(name, name)
    if found not in rows:
        raise unknown("row", name, rows, "bench table RUN")
    return found
