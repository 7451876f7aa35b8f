"""How similar each thing of the embedded world is to an erased concept: by text, by keys and values, by image."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from erasebench.prompts.concepts import get_concept
from erasebench.prompts.spelling import overlap

from ..impact.likeness import cosines, vectors_of
from ..mini.held_out import things
from ..models.catalog import find_model
from ..models.families import EMBEDDED_MODEL
from ..models.loading import load_model
from ..scoring.judge import Judge
from ..storage.files import write_csv


def write_similarities(concept: str, target: Path, device: str) -> None:
    """Write one line a thing: its name, and its cosine with the concept by each of likeness' measures."""
    model = load_model(find_model(EMBEDDED_MODEL), device)
    names = [name for name in things() if not overlap(name, concept)]
    phrases = [get_concept(concept, family=model.family).phrase, *(things()[name] for name in names)]
    found = vectors_of(model, Judge(device), [concept, *names], phrases)
    columns = {name: cosines(values[1:], values[0]) for name, values in found.items()}
    write_csv(target, pd.DataFrame({"concept": names, **columns}))
