"""A negative prompt: the concept in the empty text's place; and TraSCE's correction of it (arXiv 2412.07658)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from erasebench import ErasureTask, GuideConfig, method

if TYPE_CHECKING:
    import torch

    from erasebench import GuidedBatch


class Config(GuideConfig):
    """What is drawn away from."""

    text: str | None = None  # None: the concept
    trasce: bool = False  # whether the empty text stays the point that one starts from


@dataclass(frozen=True)
class NegativePrompt:
    """The rule."""

    text: str | torch.Tensor
    trasce: bool

    @property
    def forwards(self) -> int:
        return 3 if self.trasce else 2

    def predictor(self, batch: GuidedBatch) -> Any:
        away = batch.encode(self.text)

        def predict(z: torch.Tensor, t: float, step: int) -> torch.Tensor:
            if not self.trasce:
                negative, wanted = batch.predict(z, t, away, batch.context)
                return negative + batch.scale * (wanted - negative)
            empty, negative, wanted = batch.predict(z, t, batch.empty, away, batch.context)
            return empty + batch.scale * (wanted - negative)

        return predict


@method(label="Negative prompt", paper="arXiv 2207.12598", config=Config, guides=True, several="joined")
def negative_prompt(task: ErasureTask, config: Config) -> NegativePrompt:
    """Draw away from the concept: ε(n) + s (ε(c) − ε(n)), the equation of classifier-free guidance with n for ∅.

    Where the prompt is the negative prompt itself, the difference vanishes and ε(n) draws it. TraSCE's equation starts
    from the empty text: ε(∅) + s (ε(c) − ε(n)), by three forwards a step. Its steering by a loss's gradient is not part
    of this.
    """
    return NegativePrompt(task.prompt if config.text is None else config.text, config.trasce)
