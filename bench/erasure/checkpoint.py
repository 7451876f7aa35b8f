"""A training's state in a file: when it is written, whose it is, and an optimiser's part of it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import torch

from ..storage.tensors import load_tensors, save_tensors
from .workspace import Workspace

SHARE = 20  # a checkpoint that took s seconds to write is followed by none for 20 s


class Checkpoint:
    """The file of a training's state, written now and then from its making on."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._plan(0.0)

    @property
    def is_due(self) -> bool:
        """Whether it is time to write one."""
        return self._workspace.checkpoint is not None and time.monotonic() >= self._next

    def save(self, tensors: Mapping[str, torch.Tensor], facts: Mapping[str, Any]) -> None:
        """Write the state; `facts` are JSON and have the step."""
        began = time.monotonic()
        if self._workspace.checkpoint is not None:
            save_tensors(self._workspace.checkpoint, tensors, {"key": self._workspace.key, **facts})
        self._plan(time.monotonic() - began)

    def load(self) -> tuple[dict[str, torch.Tensor], dict[str, Any]] | None:
        """The state of this very training; None where there is none, or its step's snapshot is missing."""
        found = load_tensors(self._workspace.checkpoint) if self._workspace.checkpoint else None
        if found is None or found[1]["key"] != self._workspace.key:
            return None
        return None if found[1]["step"] >= self._workspace.resume_before else found

    def _plan(self, took: float) -> None:
        least = self._workspace.checkpoint_seconds
        self._next = time.monotonic() + (max(least, SHARE * took) if least else 0.0)


def optimiser_tensors(optimiser: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """An optimiser's per-parameter state as "index.key" → tensor."""
    state = optimiser.state_dict()["state"]
    return {f"{index}.{key}": torch.as_tensor(value) for index, entry in state.items() for key, value in entry.items()}


def restore_optimiser(optimiser: torch.optim.Optimizer, tensors: Mapping[str, torch.Tensor]) -> None:
    """Put back what `optimiser_tensors` gave."""
    state: dict[int, dict[str, torch.Tensor]] = {}
    for name, value in tensors.items():
        index, _, key = name.partition(".")
        state.setdefault(int(index), {})[key] = value
    optimiser.load_state_dict({**optimiser.state_dict(), "state": state})
