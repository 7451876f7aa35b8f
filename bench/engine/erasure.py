"""One row's training with one seed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..erasure.method import ErasureTask, Method
from ..models.devices import resolve_training_precision
from ..models.guidance import Guide
from ..models.provenance import made_on
from ..storage.keys import content_key

ERASE_VERSION = 4


@dataclass(frozen=True)
class Erasure:
    """One row's training with one seed.

    Attributes:
        row: the row's name.
        label: how tables name it.
        name: the method's registered name.
        method: the method.
        config: its configuration.
        task: what is erased, and the seed.
        max_steps: an upper limit on steps, or None.
        precision: of training: auto, fp32 or bf16.
        snapshots: steps whose weights are kept too.
    """

    row: str
    label: str
    name: str
    method: Method
    config: Any
    task: ErasureTask
    max_steps: int | None
    precision: str
    snapshots: tuple[int, ...]

    @property
    def training(self) -> int | None:
        """The training seed; None where it changes nothing."""
        return None if self.method.deterministic else self.task.seed

    @property
    def steps(self) -> int | None:
        """Optimiser updates; None for a closed form."""
        steps: int | None = getattr(self.config, "steps", None)
        return steps if steps is None else min(steps, self.max_steps or steps)

    @property
    def guide(self) -> Guide | None:
        """What it does to sampling in place of weights; None where it changes weights."""
        return None if self.method.guide is None else self.method.guide(self.task, self.config)

    def made_from(self, model_revision: str, device: str) -> dict[str, Any]:
        """Everything that its weights depend on."""
        return {
            "stage": "erase",
            "version": ERASE_VERSION,
            "model": model_revision,
            "made_on": made_on(device),
            "method": self.name,
            "method_version": self.method.version,
            "config": self.config.model_dump(),
            "task": vars(self.task),
            "max_steps": self.max_steps,
            "precision": resolve_training_precision(self.precision, device),
        }

    def key(self, model_revision: str, device: str) -> str:
        return content_key(**self.made_from(model_revision, device))
