"""What a method searched while it trained, by training step: the slides' drift of the PGD embedding."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from ..runs.folder import RunFolder
from ..storage.files import write_atomically
from .tiles import Line, tiles

NAME = re.compile(r"(\d+)-(.+)-(\d+)\.png")


def write_searched(folder: RunFolder, first: Mapping[str, int], labels: Mapping[str, str]) -> None:
    """Write searched.png, where a training of the run showed something: a line a row and noise, a column a step.

    The pictures are of the first training of a row, and all are drawn by the original.

    Args:
        folder: the run's folder.
        first: seeds of the rows' first trainings.
        labels: how tables name the rows.
    """
    found: dict[tuple[str, str, str], dict[int, Path]] = {}
    for row, seed in first.items():
        for file in sorted(folder.searched(row, seed).glob("*.png")):
            if named := NAME.fullmatch(file.name):
                step, name, number = named.groups()
                found.setdefault((row, name, number), {})[int(step)] = file
    if not found:
        return
    steps = sorted({step for files in found.values() for step in files})
    lines: list[Line] = [
        (f"{labels[row]}: {name.replace('-', ' ')}", [(files.get(step, Path()), False) for step in steps])
        for (row, name, _), files in found.items()
    ]
    page = tiles([f"step {step}" for step in steps], lines)
    write_atomically(folder.root / "searched.png", lambda path: page.save(path, "PNG"))
