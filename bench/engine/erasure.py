"""One row's training with one seed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from ..erasure.method import ErasureTask, Method
from ..models.catalog import ModelSource
from ..models.guidance import Guide
from ..storage.keys import content_key
from .setup import Setup

ERASE_VERSION = 4


@dataclass(frozen=True)
class Guided:
    """How a row's images are sampled.

    Attributes:
        name: the guide's registered name.
        method: the guide.
        config: its configuration.
    """

    name: str
    method: Method
    config: Any


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
        guided: what guides sampling with these weights; None for nothing.
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
    guided: Guided | None = None

    @property
    def training(self) -> int | None:
        """The training seed; None where it changes nothing."""
        return None if self.method.deterministic else self.task.seed

    @property
    def steps(self) -> int | None:
        """Optimiser updates; None for a closed form."""
        steps: int | None = getattr(self.config, "steps", None)
        if steps is None:
            return None
        if self.method.several == "turns":
            steps *= len(self.task.each)
        return min(steps, self.max_steps or steps)

    @property
    def guide(self) -> Guide | None:
        """What it does to sampling, in place of weights or beside them; None for nothing."""
        method, config = (self.method, self.config) if self.guided is None else (self.guided.method, self.guided.config)
        if method.guide is None:
            return None
        together = ", ".join(one.prompt for one in self.task.each)
        return method.guide(replace(self.task, prompt=together, besides=()), config)

    def check_model(self, model: ModelSource) -> None:
        """Refuse a model that the method or the guide does not take.

        Raises:
            BenchError: it has more text encoders.
        """
        self.method.check_encoders(model.text_encoders, self.config, model.name)
        if self.guided is not None:
            self.guided.method.check_encoders(model.text_encoders, self.guided.config, model.name)

    @property
    def changes_weights(self) -> bool:
        """Whether there is something to train."""
        return self.method.guide is None

    @property
    def scaled_by_prompts(self) -> bool:
        """Whether each prompt is drawn with as much of the weights as its guide says."""
        return self.guided is not None and self.guided.method.beside_weights

    def made_from(self, setup: Setup) -> dict[str, Any]:
        """Everything that its weights depend on."""
        return {
            "stage": "erase",
            "version": ERASE_VERSION,
            "model": setup.source.revision,
            "made_on": dict(setup.made_on),
            "method": self.name,
            "method_version": self.method.version,
            "config": self.config.model_dump(),
            "task": self.task.facts,
            "max_steps": self.max_steps,
            "precision": setup.precision["training"],
        }

    def key(self, setup: Setup) -> str:
        return content_key(**self.made_from(setup))

    @property
    def told(self) -> str:
        """Its method, and the guide beside it, with their versions."""
        own = f"{self.name} {self.method.version}"
        return own if self.guided is None else f"{own} + {self.guided.name} {self.guided.method.version}"

    def images_key(self, setup: Setup) -> str:
        """What its images are made from: its weights and, where there is one beside them, the guide."""
        own = self.key(setup)
        if self.guided is None:
            return own
        config = self.guided.config.model_dump()
        guide = {"name": self.guided.name, "version": self.guided.method.version, "config": config}
        return content_key(weights=own, guide=guide, task=self.task.facts)
