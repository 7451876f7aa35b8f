"""Rows of a run that differ in one number: a setting of a method or of its guide, or how much of a LoRA is added."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...runs.plan import Variant
from ...runs.rows import ORIGINAL
from .opened import OpenRun

SCALE = "scale"  # of a LoRA


@dataclass(frozen=True)
class Ladder:
    """Rows by one number: `who` is the method or the file, `key` the setting; `steps` are (number, row), sorted."""

    who: str
    key: str
    steps: tuple[tuple[float, str], ...]


def ladders(run: OpenRun) -> list[Ladder]:
    """The ladders of a run's plan, in the order of its rows.

    What a row leaves unsaid is what its training was configured with. At scale 0 a LoRA is the original.
    """
    groups: dict[tuple[str, str | None], dict[str, Variant]] = {}
    for row, variant in run.plan.rows.items():
        groups.setdefault((str(variant.method or variant.path), variant.guide), {})[row] = variant
    found = []
    for (source, guide), rows in groups.items():
        knobs = {row: _knobs(variant) for row, variant in rows.items()}
        own = {row: knobs[row] for row in rows if row in run.plan.variants}
        ladder = _ladder(run, knobs) or _ladder(run, own)  # a method's usual row may differ from its variants in more
        if ladder is None:
            continue
        key, steps = ladder
        is_file = next(iter(rows.values())).path is not None
        if is_file and all(number for number, _ in steps):
            steps = sorted([(0.0, ORIGINAL), *steps])
        who = Path(source).name if is_file else source + (f"+{guide}" if guide else "")
        found.append(Ladder(who, key, tuple(steps)))
    return found


def _knobs(variant: Variant) -> dict[str, Any]:
    if variant.path is not None:
        return {SCALE: variant.scale}
    return {**variant.settings, **{f"{variant.guide}.{key}": value for key, value in variant.guide_settings.items()}}


def _ladder(run: OpenRun, knobs: Mapping[str, Mapping[str, Any]]) -> tuple[str, list[tuple[float, str]]] | None:
    """The one key in which the rows differ, and its number in each; None where there is no such key."""
    keys = dict.fromkeys(key for own in knobs.values() for key in own)
    values = {key: {row: _value(run, row, key, own) for row, own in knobs.items()} for key in keys}
    changing = [key for key in keys if len(set(map(repr, values[key].values()))) > 1]
    if len(changing) != 1 or not all(map(_is_number, values[changing[0]].values())):
        return None
    return changing[0], sorted((float(value), row) for row, value in values[changing[0]].items())


def _value(run: OpenRun, row: str, key: str, own: Mapping[str, Any]) -> Any:
    return own[key] if key in own else run.configuration(row).get(key)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
