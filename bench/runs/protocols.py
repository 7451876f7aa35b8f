"""Protocols: presets of plans that pin what papers and harnesses measure with. Reading them needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from ..errors import unknown
from ..storage.keys import dotted

FOLDER = files("erasebench") / "plans" / "protocols"


@dataclass(frozen=True)
class Protocol:
    """A preset.

    Attributes:
        name: as --protocol takes it.
        source: the paper or code that it follows.
        plan: the part of a plan that it pins.
        ours: dotted keys of `plan` that the source leaves open, so that the value is this project's choice.
        remarks: what can't be followed, or is read in one of several ways.
    """

    name: str
    source: str
    plan: dict[str, Any]
    ours: tuple[str, ...]
    remarks: tuple[str, ...]

    @property
    def pinned(self) -> dict[str, Any]:
        """What it pins, by dotted key."""
        return dotted(self.plan)


def protocol_names() -> list[str]:
    """All protocols."""
    return sorted(Path(str(entry)).stem for entry in FOLDER.iterdir() if entry.name.endswith(".yaml"))


@cache
def get_protocol(name: str) -> Protocol:
    """A protocol by name.

    Raises:
        BenchError: there is none; names the nearest.
    """
    if name not in protocol_names():
        raise unknown("protocol", name, protocol_names(), "bench list protocols")
    content = yaml.safe_load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))
    return Protocol(name, content["source"], content["plan"], tuple(content["ours"]), tuple(content["remarks"]))


def deviations(protocol: str, plan: dict[str, Any]) -> list[str]:
    """Where a resolved plan, as a mapping, differs from its protocol: "generation.steps 25 (protocol: 50)"."""
    mine = dotted(plan)
    for role in plan["prompts"]:
        mine[f"prompts.{role}.images"] = mine[f"prompts.{role}.images"] or plan["images"]
    return [
        f"{key} {shown(mine.get(key))} (protocol: {shown(value)})"
        for key, value in get_protocol(protocol).pinned.items()
        if mine.get(key) != value
    ]


def shown(value: Any) -> str:
    """A pinned value as text."""
    if isinstance(value, list):
        return " ".join(map(str, value))
    return "the model's own" if value is None else str(value)
