"""Which words to preserve when a concept is erased, by the impact function."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from erasebench.prompts.concepts import canonical_name
from erasebench.prompts.spelling import overlap

from ..errors import BenchError
from .function import ImpactFunction
from .grid import read_grid
from .likeness import Vectors, read_vectors
from .measure import SPACES


def foretell(folder: Path, concept: str, space: str, count: int, device: str) -> list[tuple[str, int]]:
    """Things that erasing a concept is expected to change most, the most changed first, each with its rank from 1.

    f_φ learns from the whole grid; for a concept that is in it, from the other erased concepts alone.

    Args:
        folder: of a measured grid.
        concept: any text.
        space: whose δ is foretold.
        count: how many things at most.
        device: for encoding a text that is not in the grid: "auto", "cpu", "cuda" or "cuda:N".

    Raises:
        BenchError: there is no grid, no such space, or nothing to learn from.
    """
    if space not in SPACES:
        raise BenchError(f"--space {space}: one of {', '.join(SPACES)}.")
    name = canonical_name(concept)
    pairs, known = read_grid(folder)
    learned_from = pairs[(pairs["erased"] != name) & pairs[space].notna()]
    if learned_from.empty:
        raise BenchError(f"{folder}: no other erased concept has a δ in {space} space: measure more --concepts.")
    learned = ImpactFunction(known).fit(learned_from, space)
    vectors = known.of(name) if name in known.names else _read(folder, name, device)
    others = [other for other in known.names if not overlap(other, name)]
    order = np.argsort(-learned.predict(vectors, others), kind="stable")
    return [(others[k], rank) for rank, k in enumerate(order[:count], 1)]


def _read(folder: Path, name: str, device: str) -> Vectors:
    """The vectors of a text by the grid's model."""
    from ..models.catalog import find_model
    from ..models.devices import choose_device
    from ..models.loading import load_model
    from ..runs.folder import RunFolder
    from ..runs.record import read_plan

    model = load_model(find_model(read_plan(RunFolder(folder)).model).fetched(), choose_device(device))
    return {measure: values[0] for measure, values in read_vectors(model, [name]).items()}
