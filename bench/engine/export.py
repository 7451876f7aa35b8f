"""Results leave the house: an erased model as a folder that plain diffusers loads, with a model card."""

from __future__ import annotations

import json
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from ..errors import BenchError, unknown
from ..models.catalog import find_model
from ..models.loading import load_model
from ..models.patch import attached, load_patch, part_of
from ..registry import METHODS
from ..report.headings import ARROWS, footnotes, headings
from ..runs.folder import RunFolder
from ..runs.plan import Plan
from ..runs.record import RunRecord, read_run
from ..runs.rows import ORIGINAL
from ..runs.scores import read_scores
from ..storage.files import read_json, write_text


def export(folder: RunFolder, row: str, target: Path, seed: int | None = None) -> Path:
    """Write the pipeline with the row's weights and a README.md; return the folder.

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
    write_text(target / "README.md", model_card(folder, plan, record, row, seed, facts, {part_of(n) for n in patch}))
    return target


def model_card(
    folder: RunFolder, plan: Plan, record: RunRecord, row: str, seed: int, facts: dict[str, Any], parts: Iterable[str]
) -> str:
    """What was erased, how, and what it scored, in Markdown with the hub's front matter; `parts` differ."""
    scores = read_scores(folder, [ORIGINAL, row], plan.metrics)
    lines = []
    for name, head in headings(scores, plan.metrics).items():
        found = [scores.get((model, name)) for model in (ORIGINAL, row)]
        values = [head.shown(score.value if score else None) for score in found]
        lines.append(f"| {head.label} {ARROWS[head.better]} | {' | '.join(values)} |")
    label = record.labels.get(row, row)
    front = yaml.safe_dump({"library_name": "diffusers", "pipeline_tag": "text-to-image", "tags": ["concept-erasure"]})
    return "\n".join(
        [
            "---",
            front.rstrip(),
            "---",
            f"# {plan.model} without “{plan.concept}”, by {label}",
            "",
            facts.get("remark")
            or f"“{plan.concept}” was erased from the model {plan.model} ({record.model.revision}) with {label}, "
            f"training seed {seed}.",
            f"Written by erasebench {version('erasebench')}; {' and '.join(sorted(parts))} differ from the original. "
            "Load it with `DiffusionPipeline.from_pretrained(FOLDER)`.",
            "",
            "## Scores",
            "",
            "| | Original | This model |",
            "|---|---:|---:|",
            *lines,
            "",
            *(f"- {note}" for note in footnotes(scores, plan, record)),
            "",
            "## Configuration",
            "",
            "```json",
            json.dumps({"method": facts["method"], **facts["config"]}, indent=1),
            "```",
            "",
        ]
    )
