"""Whether a run is finished, told without importing what makes one: torch, methods, metrics, tables.

A complete run keeps a hash of all that it was made with and of the files that it holds. Where one of them is another
now, nothing is said: the run is then looked at in full, and whatever has to be is made again.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from erasebench.prompts.files import is_file_source

from ..models.catalog import MODELS, find_model
from ..models.hardware import hardware
from ..models.pipeline_folder import open_pipeline
from ..models.provenance import packages
from ..report.sheet import Sheet
from ..report.terminal import SheetView
from ..runs.attacks import requested
from ..runs.folder import RunFolder
from ..runs.plan import Plan
from ..scoring.clip_files import CONFIG, LOCAL, cached_weights, clip_origin
from ..storage.files import read_json, write_json
from ..storage.keys import content_key, file_hash
from .source import code_of, packages_of

if TYPE_CHECKING:
    from rich.console import RenderableType

    from .setup import Setup

INDEX = "reference.json"


class _Untold(Exception):
    """Only an import, or the network, could tell."""


def finished_tables(
    plan: Plan, folder: RunFolder, device: str, store: Path | None = None
) -> list[RenderableType] | None:
    """The tables of a finished run for a terminal; None where it may not be finished.

    Args:
        plan: what the run is asked for.
        folder: the run's.
        device: as it is asked for, "auto" too.
        store: as it is asked for; None for the one that the run used before.
    """
    stored = read_json(folder.finished)
    if stored is None or (store is not None and store.resolve() != folder.store.resolve()):
        return None
    try:
        made_with = _made_with(plan, folder, device, stored["clip"])
    except (_Untold, OSError):
        return None
    if stored["made_with"] != made_with or stored["holds"] != _holds(folder):
        return None
    sheet = TypeAdapter(Sheet)
    return [
        view if isinstance(view, str) else SheetView(view["title"], sheet.validate_python(view["sheet"]))
        for view in stored["views"]
    ]


def keep_finished(setup: Setup, views: Sequence[RenderableType]) -> None:
    """Write down that a run is finished; nothing where that could not be told later.

    Args:
        setup: the run's, whose folder holds all of it.
        views: its tables for a terminal.
    """
    clip = clip_origin(setup.plan.scoring.clip)
    try:
        made_with = _made_with(setup.plan, setup.folder, setup.device, clip)
    except (_Untold, OSError):
        setup.folder.finished.unlink(missing_ok=True)
        return
    shown = [
        {"title": view.title, "sheet": asdict(view.view)} if isinstance(view, SheetView) else view for view in views
    ]
    found = {"made_with": made_with, "clip": clip, "holds": _holds(setup.folder), "views": shown}
    write_json(setup.folder.finished, found)


def _made_with(plan: Plan, folder: RunFolder, device: str, clip: Sequence[Any]) -> str:
    """A hash of everything outside the folder that a run's results depend on, and of where it is and its store.

    Stricter than the keys of results: any change of code counts, and a file's time of change.

    Raises:
        _Untold: a part of it can't be told.
    """
    machine = hardware(device)
    if machine is None:
        raise _Untold
    attacks = () if plan.attacks is None else requested(plan.attacks, list(plan.rows), plan.family.name).names
    code = code_of(packages_of(plan, attacks))
    if not all(code.values()):
        raise _Untold
    return content_key(
        plan=plan.model_dump(mode="json"),
        place=[str(folder.root.absolute()), str(folder.store.resolve())],
        machine=machine,
        packages=packages(),
        code=code,
        model=_model(plan.model),
        clip=_clip(plan.scoring.clip, clip),
        prompts=[_prompts(prompts.source) for prompts in plan.prompts.values()],
        own=[_own(variant.path) for variant in plan.rows.values() if variant.path is not None],
        reference=None if plan.reference is None else _reference(Path(plan.reference)),
    )


def _model(name: str) -> str | list[tuple[str, int, int]]:
    """A folder's files by size and time of change, as hashing gigabytes takes long; else the model's revision."""
    if name in MODELS or not Path(name).is_dir():
        return find_model(name).revision
    return _stamps(Path(name) / file for file in open_pipeline(Path(name)).files)


def _own(path: str) -> list[tuple[str, int, int]]:
    """The files of somebody's weights."""
    place = Path(path)
    return _stamps(sorted(place.rglob("*")) if place.is_dir() else [place])


def _clip(wanted: str, origin: Sequence[Any]) -> list[tuple[str, int, int]] | None:
    """The files of a plan's CLIP model; the judge's are among the package's."""
    if wanted.startswith(LOCAL):
        return _stamps(sorted(Path(wanted.removeprefix(LOCAL)).iterdir()))
    weights = cached_weights(origin[0], origin[1])
    return None if weights is None else _stamps(file for file in (weights, weights.with_name(CONFIG)) if file.exists())


def _prompts(source: str) -> str:
    if source.startswith("hub:"):
        raise _Untold
    return file_hash(Path(source)) if is_file_source(source) else source


def _reference(folder: Path) -> str | list[tuple[str, int, int]]:
    index = folder / INDEX
    return file_hash(index) if index.is_file() else _stamps(sorted(folder.rglob("*")))


def _stamps(files: Iterable[Path]) -> list[tuple[str, int, int]]:
    """Each file's own name once links are followed, its size and time of change."""
    return [(file.resolve().as_posix(), file.stat().st_size, file.stat().st_mtime_ns) for file in files]


def _holds(folder: RunFolder) -> dict[str, Any]:
    """What lies in a run's folder: files by size and time of change, folders of images by theirs.

    An image that is added, replaced or removed changes its folder's time; one that is written over is not looked at.
    """
    root = folder.root
    patterns = ("plan.yaml", "run.json", "leaderboard.*", "attacks.*", "scores/*.json", "patches/**/*.safetensors")
    files = [file for pattern in patterns for file in root.glob(pattern)]
    found: dict[str, Any] = {
        file.relative_to(root).as_posix(): [file.stat().st_size, file.stat().st_mtime_ns] for file in files
    }
    for place, _, _ in os.walk(root / "images"):
        found[Path(place).relative_to(root).as_posix()] = Path(place).stat().st_mtime_ns
    return found
