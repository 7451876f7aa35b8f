"""The one training loop that all methods share, and what it cost."""

from __future__ import annotations

import math
import resource
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from .errors import BenchError
from .models import TextToImage
from .parameters import select

Report = Callable[[str], None]


@dataclass
class Cost:
    """What an erasure took.

    Attributes:
        train_steps: optimiser updates.
        train_seconds: wall-clock time of the whole erasure.
        unet_forwards: UNet forwards in images, with and without gradient together.
        unet_forwards_with_gradient: those with gradient.
        peak_memory_mb: highest memory in use: of the GPU, or of the whole process on a CPU, in MiB.
    """

    train_steps: int = 0
    train_seconds: float = 0.0
    unet_forwards: int = 0
    unet_forwards_with_gradient: int = 0
    peak_memory_mb: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass
class Trainer:
    """Runs a method's loss to changed weights.

    Attributes:
        model: the model whose UNet is the student.
        group: the parameters that may change, a name in `erasebench.GROUPS`.
        seed: of every random number that the training draws.
        max_steps: an upper limit on steps (a plan's `train_steps`), or None.
        report: called after each step with a line such as "step 3/100, loss 0.01".
    """

    model: TextToImage
    group: str
    seed: int
    max_steps: int | None = None
    report: Report = lambda text: None
    steps_done: int = 0
    generator: torch.Generator = field(init=False)

    def __post_init__(self) -> None:
        self.generator = torch.Generator().manual_seed(self.seed)
        self.parameters: Mapping[str, nn.Parameter] = select(self.model.unet, self.group)

    def random_level(self, levels: int) -> int:
        """A sampler level, uniform in 0 … levels − 1 (0 is the noisiest)."""
        return int(torch.randint(levels, (), generator=self.generator))

    def noise(self, batch: int) -> torch.Tensor:
        """Standard normal latents of shape (batch, channels, height, width)."""
        return torch.randn((batch, *self.model.latent_shape), generator=self.generator).to(self.model.device)

    def fit(
        self,
        loss: Callable[[], torch.Tensor],
        *,
        steps: int,
        lr: float,
        optimiser: str = "adam",
        weight_decay: float = 0.0,
        clip: float | None = None,
        after_step: Callable[[], None] | None = None,
    ) -> None:
        """Minimise `loss()`, which draws its own batch, over the group's parameters.

        Args:
            loss: returns a scalar with gradient.
            steps: optimiser updates, cut to `max_steps`.
            lr: constant learning rate.
            optimiser: "adam" or "adamw".
            weight_decay: AdamW's.
            clip: the largest gradient norm, or None.
            after_step: called after each update, for moving averages.

        Raises:
            BenchError: the loss is not finite.
        """
        kinds = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
        update = kinds[optimiser](list(self.parameters.values()), lr=lr, weight_decay=weight_decay)
        steps = min(steps, self.max_steps or steps)
        self.model.unet.requires_grad_(False)
        for parameter in self.parameters.values():
            parameter.requires_grad_(True)
        try:
            for step in range(steps):
                value = loss()
                number = float(value.detach())
                if not math.isfinite(number):
                    raise BenchError(f"the loss is {number} at step {step + 1} of {steps}: lower lr (now {lr:g}).")
                update.zero_grad(set_to_none=True)
                value.backward()
                if clip is not None:
                    nn.utils.clip_grad_norm_(self.parameters.values(), clip)
                update.step()
                if after_step is not None:
                    after_step()
                self.steps_done += 1
                self.report(f"step {step + 1}/{steps}, loss {number:.4g}")
        finally:
            self.model.unet.requires_grad_(False)


@contextmanager
def measured(model: TextToImage) -> Iterator[Cost]:
    """Fill in a Cost's seconds, forwards and memory over the block."""
    cost, before = Cost(), (model.forwards.without_gradient, model.forwards.with_gradient)
    _reset_peak_memory(model.device)
    began = time.perf_counter()
    yield cost
    if model.device == "cuda":
        torch.cuda.synchronize()
    cost.train_seconds = time.perf_counter() - began
    cost.unet_forwards_with_gradient = model.forwards.with_gradient - before[1]
    cost.unet_forwards = model.forwards.without_gradient - before[0] + cost.unet_forwards_with_gradient
    cost.peak_memory_mb = _peak_memory(model.device)


def _reset_peak_memory(device: str) -> None:
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        return
    try:  # Linux: forget the high-water mark of resident memory
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def _peak_memory(device: str) -> float:
    if device == "cuda":
        return torch.cuda.max_memory_allocated() / 2**20
    try:
        status = Path("/proc/self/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
