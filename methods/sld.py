"""Safe Latent Diffusion (Schramowski et al., arXiv 2211.05105)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field

from erasebench import ErasureTask, GuideConfig, method

if TYPE_CHECKING:
    from erasebench import GuidedBatch


class Config(GuideConfig):
    """Hyp-Medium by default; the recipes are the paper's four. diffusers' "weak" has a scale of 20, another number."""

    recipes: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "weak": {"warm_up": 15, "scale": 200.0, "threshold": 0.0, "momentum_scale": 0.0, "momentum": 0.0},
        "medium": {"warm_up": 10, "scale": 1000.0, "threshold": 0.01, "momentum_scale": 0.3, "momentum": 0.4},
        "strong": {"warm_up": 7, "scale": 2000.0, "threshold": 0.025, "momentum_scale": 0.5, "momentum": 0.7},
        "max": {"warm_up": 0, "scale": 5000.0, "threshold": 1.0, "momentum_scale": 0.5, "momentum": 0.7},
    }

    recipe: Literal["weak", "medium", "strong", "max"] = "medium"
    text: str | None = None  # None: the concept; the paper's is a list of unsafe words
    warm_up: Annotated[int, Field(ge=0, le=50)] = 10  # steps of 50 without guidance away
    scale: Annotated[float, Field(ge=0)] = 1000.0
    threshold: float = 0.01
    momentum_scale: float = 0.3
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.4


@dataclass(frozen=True)
class SafeGuidance:
    """The rule."""

    text: str | torch.Tensor
    config: Config
    forwards: int = 3

    def predictor(self, batch: GuidedBatch) -> Any:
        away, config = batch.encode(self.text), self.config
        kept: torch.Tensor | float = 0.0

        def predict(z: torch.Tensor, t: float, step: int) -> torch.Tensor:
            nonlocal kept
            empty, wanted, unsafe = batch.predict(z, t, batch.empty, batch.context, away)
            size = ((wanted - unsafe).abs() * config.scale).clamp(max=1)
            size = torch.where(wanted - unsafe < config.threshold, size, torch.zeros_like(size))
            push = size * (unsafe - empty) + config.momentum_scale * kept
            kept = config.momentum * kept + (1 - config.momentum) * push
            toward = wanted - empty
            return empty + batch.scale * (toward - push if batch.begun(step, config.warm_up) else toward)

        return predict


@method(label="SLD", paper="arXiv 2211.05105", config=Config, guides=True, several="joined")
def sld(task: ErasureTask, config: Config) -> SafeGuidance:
    """Push predictions away from a text where they come near it (equations 3 to 8).

    μ = min(1, s_S |ε(c) − ε(S)|) where ε(c) − ε(S) < λ, else 0, element by element; γ = μ (ε(S) − ε(∅)) + s_m ν;
    ν ← β ν + (1 − β) γ, in the warm-up too; ε(∅) + s (ε(c) − ε(∅) − γ), from step δ on without γ before it.
    """
    return SafeGuidance(task.prompt if config.text is None else config.text, config)
