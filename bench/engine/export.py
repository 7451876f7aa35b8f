"""Results leave the house: an erased model as a folder that plain diffusers loads, with a model card."""

from __future__ import annotations

from pathlib import Path

from ..errors import BenchError, unknown
from ..models.catalog import find_model
from ..models.loading import load_model
from ..models.patch import attached, load_patch, part_of
from ..registry import METHODS
from ..runs.folder import RunFolder
from ..runs.record import read_run
from ..storage.files import read_json, write_text
from .card import ErasedModel, model_card


def export(folder: RunFolder, row: str, target: Path, seed: int | None = None) -> Path:
    """Write the pipeline with the row's weights and a README.md; return the folder.

    Raises:
        BenchError: see `export_pipeline`.
    """
    write_text(target / "README.md", model_card(export_pipeline(folder, row, target, seed)))
    return target


def export_pipeline(folder: RunFolder, row: str, target: Path, seed: int | None = None) -> ErasedModel:
    """Write the pipeline with the row's weights; return what a card says of it.

    Args:
        folder: a run's folder.
        row: a method or variant of the run.
        target: a folder that does not exist or is empty.
        seed: which training's weights; the first by default.

    Raises:
        BenchError: there is no such run, row or seed, it was not trained, or the target is not empty.
    """
    plan, record = read_run(folder)
    if row not in plan.rows and row in METHODS.aliases():
        row = METHODS.aliases()[row]
    if row not in plan.rows:
        raise unknown("row", row, plan.rows, f"bench table {folder.root}")
    seed = record.training_of(row, seed)
    facts = read_json(folder.erasure(row, seed))
    if facts is None or not folder.patch(row, seed).exists():
        raise BenchError(f"{row} was not trained in {folder.root}. `bench run {folder.plan} --out {folder.root}` does.")
    if facts.get("guides"):
        raise BenchError(f"{row} changes no weights, only how it samples: there is nothing to export.")
    if guide := plan.rows[row].guide:
        raise BenchError(f"{row} is {plan.rows[row].method} drawn with {guide}, which no folder of weights can hold.")
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise BenchError(
            f"--to {target} is there already and no empty folder; nothing was written. Choose a new folder."
        )
    source = find_model(plan.model)
    if source.revision != record.model.revision:
        raise BenchError(
            f"--model {plan.model} is no longer what the run was made from "
            f"({source.revision}, then {record.model.revision})."
        )
    model = load_model(source, "cpu")
    try:
        patch = load_patch(folder.patch(row, seed))
        with attached(model, patch):
            model.pipeline().save_pretrained(target)
    except OSError as error:
        raise BenchError(f"--to {target} can't be written: {error.strerror}.") from None
    return ErasedModel(folder, plan, record, row, seed, facts, frozenset(part_of(name) for name in patch))
