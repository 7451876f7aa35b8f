"""A measured grid as it lies in a folder: pairs of an erased and another concept, and all concepts' vectors."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from erasebench.prompts.spelling import overlap

from ..errors import BenchError
from ..storage.tensors import load_tensors
from .function import Known
from .measure import SPACES

GRID, VECTORS = "impact.csv", "vectors.safetensors"
COLUMNS = ("row", "training", "erased", "other", "noise", "noise_error", *SPACES[1:])


def read_grid(folder: Path) -> tuple[pd.DataFrame, Known]:
    """The pairs of two concepts of which neither names the other, and the concepts.

    Raises:
        BenchError: the folder holds no measured grid, or a damaged one.
    """
    if not (folder / GRID).is_file():
        raise BenchError(f"{folder} holds no {GRID}: `bench impact measure --out {folder}` makes it.")
    table, stored = pd.read_csv(folder / GRID), load_tensors(folder / VECTORS)
    if missing := [column for column in COLUMNS if column not in table]:
        raise BenchError(f"{folder / GRID} has no column {missing[0]}: `bench impact measure` writes it anew.")
    if stored is None:
        raise BenchError(f"{folder / VECTORS} is missing or damaged: `bench impact measure` writes it anew.")
    tensors, facts = stored
    apart = [not overlap(a, b) for a, b in zip(table["erased"], table["other"], strict=True)]
    return table[apart].reset_index(drop=True), Known(facts["names"], {k: v.numpy() for k, v in tensors.items()})
