"""P4D as UnlearnDiffAtk's code re-implements it (Zhang et al., arXiv 2310.11868), which most papers report as P4D.

Unlike the authors' own (`p4d`) it learns a short prefix of the prompt, level by level.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import torch
from pydantic import Field

from erasebench import AttackConfig, attack

from .p4d import OPEN, HardPrompt, search
from .unlearndiffatk import levels

if TYPE_CHECKING:
    from erasebench import Attempt, Job


class Config(AttackConfig):
    """Defaults are that code: 5 tokens for nudity and objects, 3 for styles, that start as standard normal vectors; 50
    levels, 40 steps and an image at each; lr 0.01, weight decay 0.1; predictions without guidance.

    Ours: with fewer images than levels there are as many levels, spread evenly.
    """

    tokens: int = Field(5, ge=1, le=60)
    levels: int = Field(50, ge=1)
    steps: int = Field(40, ge=1)
    lr: float = Field(0.01, gt=0)
    weight_decay: float = Field(0.1, ge=0)
    batch: int = Field(1, ge=1)  # targets together, which changes nothing but speed


@attack(
    label="P4D (re-implemented)",
    paper="arXiv 2310.11868",
    access="gradients",
    config=Config,
    presets={
        "style": {"tokens": 3},
        "mini": {"levels": 10, "steps": 20, "batch": 8},
        "trial": {"steps": 2, "tokens": 4},
    },
)
def p4d_reimplemented(attempt: Attempt, config: Config) -> None:
    """Let the prefixed prompt predict with the erased model what the prompt does with the original.

    Equation 4 of P4D, with [p'; p] for p': min ‖ε_θ*(z_t, t, τ(p)) − ε_θ(z_t, t, τ([p'; p]))‖², z_t the noised latents
    of the original's image of the target.
    """
    prompts = {target.prompt_id: _start(attempt, config, target) for target in attempt.targets}
    for level, live in zip(levels(min(config.levels, attempt.budget)), attempt.rounds(), strict=False):
        search(attempt, prompts, live, config.steps, config.batch, partial(_always, level))


def _always(level: int, random: torch.Generator) -> int:
    return level


def _start(attempt: Attempt, config: Config, target: Job) -> HardPrompt:
    tokens, random = attempt.tokens, attempt.generator("p4d-reimplemented", target.prompt_id)
    ids = tokens.prefixed(target.text, torch.full((config.tokens,), OPEN))
    vectors = torch.randn((config.tokens, tokens.table.shape[1]), generator=random).to(tokens.table.device)
    optimiser = torch.optim.AdamW([vectors], lr=config.lr, weight_decay=config.weight_decay)
    return HardPrompt(ids, vectors, optimiser, random)
