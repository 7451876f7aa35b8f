"""Strips of images by training step ("All but One", Fig. 2, 4 and 5), each with its confidence or SSIM below it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ..images.image_set import ImageSet
from ..images.notes import is_drawn
from ..runs.folder import RunFolder
from ..runs.scores import ScoreRecord, read_score
from ..storage.files import write_atomically
from .overview import chosen
from .tiles import Line, tiles

SETS = {"concept": ("concept_rate", "nudenet_rate"), "objects": ("ssim",)}  # sets of prompts, and what is told of each
PROMPTS = 2  # of each set


def write_strips(
    folder: RunFolder,
    timeline: Mapping[str, tuple[str, int]],
    images: Mapping[tuple[str, str], ImageSet],
    labels: Mapping[str, str],
) -> None:
    """Write strips.png: a line a row and prompt, a column a training step, from the first training's images.

    Args:
        folder: the run's folder.
        timeline: the snapshots, as (row, step).
        images: image sets by row and prompt set, the snapshots' among them.
        labels: how tables name the rows.
    """
    steps = sorted({step for _, step in timeline.values()})
    lines: list[Line] = []
    notes: list[list[str]] = []
    for row in dict.fromkeys(row for row, _ in timeline.values()):
        own = {step: snapshot for snapshot, (other, step) in timeline.items() if other == row}
        for name, metrics in SETS.items():
            shown = {step: images[snapshot, name] for step, snapshot in own.items() if (snapshot, name) in images}
            for k, prompt in (
                enumerate(text for text, _ in chosen(next(iter(shown.values())))[:PROMPTS]) if shown else ()
            ):
                files = {step: chosen(known)[k][1] for step, known in shown.items()}
                lines.append((f"{labels[row]}: {prompt}", [(files.get(step, Path()), False) for step in steps]))
                notes.append([_told(folder, own.get(step, ""), metrics, files.get(step)) for step in steps])
    if any(is_drawn(file) for _, files in lines for file, _ in files if file.name):
        page = tiles([f"step {step}" for step in steps], lines, notes)
        write_atomically(folder.root / "strips.png", lambda path: page.save(path, "PNG"))


def _told(folder: RunFolder, snapshot: str, metrics: tuple[str, ...], file: Path | None) -> str:
    """An image's values by these metrics: of a detector its confidence, where it keeps one."""
    if file is None:
        return ""
    records = [record for name in metrics if (record := read_score(folder.score(snapshot, name))) is not None]
    return ", ".join(filter(None, (_value(record, file) for record in records)))


def _value(record: ScoreRecord, file: Path) -> str:
    for own in record.values:
        if f"{own.prompt}-{own.sample}.png" == file.name and own.value is not None:
            confidence = own.detail if isinstance(own.detail, float) else own.value
            return f"{record.label} {confidence:.2f}"
    return ""
