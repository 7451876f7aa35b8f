"""The code that a run is computed with, as hashes: whether it is the same now, or on another machine."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path

from ..registry import ATTACKS, METHODS, METRICS
from ..runs.plan import Plan
from ..storage.keys import file_hash, files_hash

OWN = ("erasebench", "erasebench.methods", "erasebench.metrics", "erasebench.attacks", "erasebench.prompts")


def packages_of(plan: Plan, attacks: Sequence[str] = ()) -> list[str]:
    """The packages whose code runs: the bench's, and those of others that the methods, metrics and attacks are of."""
    methods = [name for variant in plan.rows.values() for name in (variant.method, variant.guide) if name is not None]
    entries = [METHODS.entries()[name] for name in methods]
    entries += [METRICS.entries()[name] for name in plan.metrics]
    entries += [ATTACKS.entries()[name] for name in attacks]
    others = {entry.target.partition(":")[0].partition(".")[0] for entry in entries if entry.package}
    return sorted({*OWN, *others})


def code_of(packages: Iterable[str]) -> dict[str, list[str]]:
    """By package, hashes of its files, data too; none where it can't be found. None of its modules is imported."""
    return {package: _code(package) for package in packages}


def _code(package: str) -> list[str]:
    spec = find_spec(package)
    if spec is None:
        return []
    if spec.submodule_search_locations is None:
        return [file_hash(Path(str(spec.origin)))]
    return [_files(Path(folder)) for folder in spec.submodule_search_locations]


def _files(folder: Path) -> str:
    names = (file.relative_to(folder) for file in folder.rglob("*") if file.is_file())
    return files_hash(folder, [name.as_posix() for name in names if "__pycache__" not in name.parts])
