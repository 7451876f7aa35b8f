"""A run's stored scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..storage.files import read_json
from .folder import RunFolder

Scores = dict[tuple[str, str], dict[str, Any]]


def read_scores(folder: RunFolder, rows: Sequence[str], metrics: Sequence[str]) -> Scores:
    """The stored scores by row and metric; those that are missing are absent."""
    found = {(row, name): read_json(folder.score(row, name)) for row in rows for name in metrics}
    return {cell: record for cell, record in found.items() if record is not None}
