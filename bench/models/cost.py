"""What an erasure costs: time, UNet forwards and memory."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from .devices import is_gpu
from .timing import synchronize

if TYPE_CHECKING:
    from .text_to_image import TextToImage


@dataclass
class Cost:
    """What an erasure took; sums with `+`.

    Attributes:
        train_steps: optimiser updates.
        train_seconds: wall-clock time of the whole erasure.
        forwards: UNet forwards without gradient, in images (a guided prediction of one image counts 2).
        forwards_with_gradient: UNet forwards with gradient, in images.
        peak_memory_mb: highest memory in use: of the GPU, or of the whole process on a CPU, in MiB.
    """

    train_steps: int = 0
    train_seconds: float = 0.0
    forwards: int = 0
    forwards_with_gradient: int = 0
    peak_memory_mb: float = 0.0

    def scaled(self, factor: float) -> Cost:
        """Time and forwards times a factor; memory stays what it was."""
        return Cost(
            round(self.train_steps * factor),
            self.train_seconds * factor,
            round(self.forwards * factor),
            round(self.forwards_with_gradient * factor),
            self.peak_memory_mb,
        )

    def __add__(self, other: Cost) -> Cost:
        total = {f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)}
        return Cost(**{**total, "peak_memory_mb": max(self.peak_memory_mb, other.peak_memory_mb)})


class Meter:
    """Measures from its making on.

    One inside another's time leaves `memory` out: the highest use is known for one of them only.
    """

    def __init__(self, model: TextToImage, memory: bool = True) -> None:
        self.model, self._memory = model, memory
        self._before = (model.forwards.without_gradient, model.forwards.with_gradient)
        if memory:
            _reset_peak_memory(model.device)
        synchronize(model.device)  # what was asked for before is no part of it
        self._began, self._paused, self._peak = time.perf_counter(), 0.0, 0.0

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Nothing inside the block counts: snapshots, their pictures and checkpoints are no part of a method."""
        synchronize(self.model.device)  # work before the block counts
        forwards = self.model.forwards
        began, counted = time.perf_counter(), (forwards.without_gradient, forwards.with_gradient)
        if self._memory:
            self._peak = max(self._peak, peak_memory(self.model.device))
        yield
        synchronize(self.model.device)
        forwards.without_gradient, forwards.with_gradient = counted
        if self._memory:
            _reset_peak_memory(self.model.device)
        self._paused += time.perf_counter() - began

    def cost(self, steps: int = 0) -> Cost:
        """The cost so far, of this many optimiser updates."""
        synchronize(self.model.device)
        forwards = self.model.forwards
        return Cost(
            train_steps=steps,
            train_seconds=time.perf_counter() - self._began - self._paused,
            forwards=forwards.without_gradient - self._before[0],
            forwards_with_gradient=forwards.with_gradient - self._before[1],
            peak_memory_mb=max(self._peak, peak_memory(self.model.device)) if self._memory else 0.0,
        )


def _reset_peak_memory(device: str) -> None:
    if is_gpu(device):
        torch.cuda.reset_peak_memory_stats(device)
        return
    try:  # Linux: forget the high-water mark of resident memory
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def peak_memory(device: str) -> float:
    """MiB at most since this was reset: of the GPU's memory that PyTorch holds, or of this process's."""
    if is_gpu(device):
        return torch.cuda.max_memory_allocated(device) / 2**20
    try:
        status = Path("/proc/self/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
