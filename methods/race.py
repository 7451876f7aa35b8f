"""RACE: Robust Adversarial Concept Erasure for Secure Text-to-Image Diffusion Models (Kim et al., arXiv 2405.16341)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
from pydantic import Field
from torch.nn.functional import mse_loss

from erasebench import MethodConfig, method

from .esd import target

if TYPE_CHECKING:
    from erasebench import ErasureTask, TextToImage, Trainer


class Config(MethodConfig):
    """Defaults are the authors' code for Stable Diffusion v1.4, and ESD's original recipe for what they start from.

    Ours: they start from weights that ESD made, here ESD is the first part of the same training, whose optimiser goes
    on; which weights are trained is a required argument of theirs, here as ESD chooses; their penalty on the distance
    to the first weights, an option, is left out.
    """

    parameters: Literal["xattn", "noxattn", "full", "selfattn"] = "noxattn"
    plain_steps: int = Field(1000, ge=0)  # of ESD, before the first attack
    steps: int = Field(2000, ge=1)  # of both parts: 1,000 with attacks
    batch: int = Field(1, ge=1)
    lr: float = Field(1e-5, gt=0)
    eta: float = 1.0  # ESD's negative guidance
    radius: float = Field(0.1, gt=0)  # of the box in which the embedding moves
    step_size: float = Field(0.25, gt=0)  # of the radius
    ascents: int = Field(10, ge=1)
    sampler_steps: int = Field(50, ge=2)  # DDIM
    sampler_guidance: float = 3.0


@method(
    label="RACE",
    paper="arXiv 2405.16341",
    config=Config,
    several="turns",
    presets={
        "style": {"parameters": "xattn"},
        "mini": {"parameters": "xattn", "plain_steps": 25, "steps": 50, "batch": 4, "lr": 3e-3, "sampler_steps": 12},
    },
)
def race(model: TextToImage, task: ErasureTask, config: Config, trainer: Trainer) -> None:
    """Go on from ESD, with its loss at the embedding near the concept's that undoes the erasure best.

    Equation 8's attack: min over ‖δ‖_∞ ≤ r of ‖ε_T − ε_θ(z_t, c + δ)‖², by steps of the gradient's sign from a random
    start, entries kept within the embedding's least and greatest. ε_T is, as in the authors' code, the noise from which
    the student's sampler drew z_t. Then ESD's loss, ‖ε_θ(z_t, c + δ) − [ε*(z_t, ∅) − η (ε*(z_t, c) − ε*(z_t, ∅))]‖².
    """
    teacher = trainer.teacher
    concept, empty = trainer.text(task.prompt), trainer.text("")
    both = torch.cat([empty, concept]).repeat_interleave(config.batch, 0)
    levels = model.timesteps(config.sampler_steps)

    def loss(step: int) -> torch.Tensor:
        level = trainer.random_level(len(levels))
        t, start = levels[level], trainer.noise(config.batch)
        z = trainer.latents(start, concept, level, config.sampler_steps, config.sampler_guidance)
        with torch.no_grad():
            unconditional, conditional = model.predict_noise(z.repeat(2, 1, 1, 1), t, both, teacher).chunk(2)
        asked = concept if step < config.plain_steps else attacked(model, z, t, start, concept, config, trainer)
        return mse_loss(model.predict_noise(z, t, asked), target(conditional, unconditional, config.eta))

    trainer.fit(loss, steps=config.steps, lr=config.lr)


def attacked(
    model: TextToImage,
    z: torch.Tensor,
    t: int,
    noise: torch.Tensor,
    concept: torch.Tensor,
    config: Config,
    trainer: Trainer,
) -> torch.Tensor:
    """The embedding in the box around the concept's that predicts this noise best, (1, 77, width)."""
    random = torch.rand(concept.shape, generator=trainer.generator).to(concept)
    least, most = concept.min(), concept.max()
    found = (concept + config.radius * (2 * random - 1)).clamp(least, most)
    for _ in range(config.ascents):
        found.requires_grad_(True)
        (gradient,) = torch.autograd.grad(mse_loss(model.predict_noise(z, t, found), noise), found)
        moved = found.detach() - config.step_size * config.radius * gradient.sign()
        found = torch.minimum(torch.maximum(moved, concept - config.radius), concept + config.radius)
        found = found.clamp(least, most)
    return found.detach()
