"""RECE: Reliable and Efficient Concept Erasure of Text-to-Image Diffusion Models (Gong et al., ECCV 2024).

arXiv 2407.12383.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from pydantic import Field

from erasebench import method

from .uce import NO_WORDS, guide_of, solve, uce
from .uce import Config as UceConfig

if TYPE_CHECKING:
    from erasebench import ErasureTask, TextToImage, Trainer


class Config(UceConfig):
    """Defaults are the authors' code for nudity; what UCE's own settings mean is said there.

    What differs from their code: the last round is the result, where they keep the round whose images of a validation
    file show least; solved in float64; in all rounds what `preserve` names is kept, where theirs keep "" for objects
    and " " for nudity. Objects that UCE erases well ("English springer", "golf ball", "parachute") have their
    `attack_regularisation` of 0.1 too: the preset is for those that it does not ("church", "garbage truck").
    """

    rounds: int = Field(3, ge=1)  # "epochs"
    attack_regularisation: float = Field(0.1, gt=0)  # λ of the search
    round_regularisation: float | None = Field(0.1, gt=0)  # λ of the rounds' edits; None: that of the first
    round_preserve_scale: float = Field(0.1, ge=0)


@method(
    label="RECE",
    paper="arXiv 2407.12383",
    config=Config,
    deterministic=True,
    several="sum",
    presets={
        "style": {"guide": "art", "rounds": 1, "attack_regularisation": 1e-3},
        "object": {"rounds": 1, "attack_regularisation": 1e-3},
        "mini": {"guide": None, "expand": True, "regularisation": 52.0, "round_regularisation": None},
    },
    version=2,
)
def rece(model: TextToImage, task: ErasureTask, config: Config, trainer: Trainer) -> None:
    """Edit as UCE does; then, round by round, find the embedding that brings the concept back, and edit that too.

    The search: c' = argmin Σ ‖W c' − W* c‖² + λ ‖c'‖² over all keys and values, W edited and W* the original's, whose
    solution is c' = (λI + Σ WᵀW)⁻¹ (Σ WᵀW*) c, one matrix for all 77 rows of the concept's embedding. Then equation 3,
    UCE's closed form, maps the rows of c' to those of the guide.
    """
    original = {name: weight.detach().double() for name, weight in trainer.parameters.items()}
    uce.erase(model, task, config, trainer)

    def rows(texts: Sequence[str]) -> torch.Tensor:
        embeddings = trainer.text(*texts, "")[:-1, : model.positions]  # also of no text
        return embeddings.double().flatten(0, 1)

    concept = rows([one.prompt for one in task.each])
    guide = rows([guide_of(one, config) or NO_WORDS for one in task.each])
    kept = rows(config.preserve)
    regularisation = config.regularisation if config.round_regularisation is None else config.round_regularisation
    for _ in range(config.rounds):
        edited = {name: weight.detach().double() for name, weight in trainer.parameters.items()}
        found = concept @ undoing(original, edited, config.attack_regularisation).T
        solve(trainer, found, guide, kept, regularisation, config.erase_scale, config.round_preserve_scale)


def undoing(original: dict[str, torch.Tensor], edited: dict[str, torch.Tensor], regularisation: float) -> torch.Tensor:
    """The matrix (λI + Σ WᵀW)⁻¹ Σ WᵀW*, of shape (width, width).

    Args:
        original: W* by name, each of shape (channels, width).
        edited: W by the same names.
        regularisation: λ.
    """
    width = next(iter(edited.values())).shape[1]
    left = regularisation * torch.eye(width, dtype=torch.float64, device=next(iter(edited.values())).device)
    right = torch.zeros_like(left)
    for name, weight in edited.items():
        left += weight.T @ weight
        right += weight.T @ original[name]
    return torch.linalg.solve(left, right)
