"""SEGA: Instructing Text-to-Image Models using Semantic Guidance (Brack et al., arXiv 2301.12247)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import torch
from pydantic import Field

from erasebench import ErasureTask, GuideConfig, method

if TYPE_CHECKING:
    from erasebench import GuidedBatch


class Config(GuideConfig):
    """Defaults are those of diffusers' pipeline."""

    text: str | None = None  # None: the concept
    scale: float = 5.0
    quantile: Annotated[float, Field(ge=0, le=1)] = 0.9  # of |ψ| in each channel: what lies below it is left alone
    warm_up: Annotated[int, Field(ge=0, le=50)] = 10  # steps of 50
    momentum_scale: float = 0.1
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.4


@dataclass(frozen=True)
class SemanticGuidance:
    """The rule, away from one text."""

    text: str | torch.Tensor
    config: Config
    forwards: int = 3

    def predictor(self, batch: GuidedBatch) -> Any:
        away, config = batch.encode(self.text), self.config
        kept: torch.Tensor | float = 0.0

        def predict(z: torch.Tensor, t: float, step: int) -> torch.Tensor:
            nonlocal kept
            empty, wanted, edit = batch.predict(z, t, batch.empty, batch.context, away)
            push = -config.scale * (edit - empty)
            least = push.abs().flatten(2).quantile(config.quantile, dim=2)[..., None, None]
            push = torch.where(push.abs() >= least, push, torch.zeros_like(push))
            moved = push + config.momentum_scale * kept
            kept = config.momentum * kept + (1 - config.momentum) * moved
            plain = empty + batch.scale * (wanted - empty)
            return plain + moved if batch.begun(step, config.warm_up) else plain

        return predict


@method(label="SEGA", paper="arXiv 2301.12247", config=Config, guides=True, version=2)
def sega(task: ErasureTask, config: Config) -> SemanticGuidance:
    """Subtract a text's direction where it is strongest (equations 4 to 8), after classifier-free guidance.

    ψ = −s_e (ε(e) − ε(∅)), zero below the quantile of |ψ| in its channel; γ = ψ + s_m ν; ν ← β ν + (1 − β) γ, in the
    warm-up too; ε(∅) + s (ε(c) − ε(∅)) + γ, without γ in the warm-up.
    """
    return SemanticGuidance(task.prompt if config.text is None else config.text, config)
