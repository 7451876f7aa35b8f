"""Tensors with facts in sealed files: checkpoints and what trainings share."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from .files import is_whole, write_sealed


def save_tensors(path: Path, tensors: Mapping[str, torch.Tensor], facts: Mapping[str, Any]) -> None:
    """Write tensors and a JSON object of facts, whole or not at all."""
    stored = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    write_sealed(path, lambda temporary, metadata: save_file(stored, temporary, metadata), facts=json.dumps(facts))


def load_tensors(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]] | None:
    """What `save_tensors` wrote; None where there is no file, or with a warning where it is damaged."""
    if not is_whole(path):
        return None
    with safe_open(path, "pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, json.loads(file.metadata()["facts"])  # noqa: SIM118


def with_prefix(tensors: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    """The tensors whose names begin with "prefix/", without it."""
    return {name.removeprefix(f"{prefix}/"): v for name, v in tensors.items() if name.startswith(f"{prefix}/")}
