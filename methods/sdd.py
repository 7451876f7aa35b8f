"""SDD: Towards Safe Self-Distillation of Internet-Scale Text-to-Image Models (Kim et al., arXiv 2307.05977)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
from torch.nn.functional import mse_loss

from erasebench import MethodConfig, method

if TYPE_CHECKING:
    from erasebench import ErasureTask, TextToImage, Trainer


class Config(MethodConfig):
    """Defaults for Stable Diffusion v1.4: the paper's section 4 and the authors' code."""

    parameters: Literal["xattn", "full"] = "xattn"  # section 4
    steps: int = 1500  # section 4
    batch: int = 1
    lr: float = 1e-5  # section 4
    weight_decay: float = 1e-4  # authors' code (the appendix says 1e-2)
    clip: float = 1.0  # authors' code
    ema: float = 0.999  # section 4
    sampler_steps: int = 50  # DDIM, authors' code
    sampler_guidance: float = 3.0  # section 4


@method(
    label="SDD",
    paper="arXiv 2307.05977",
    config=Config,
    several="turns",
    presets={"mini": {"steps": 50, "batch": 4, "lr": 3e-3, "ema": 0.95, "sampler_steps": 12}},
)
def sdd(model: TextToImage, task: ErasureTask, config: Config, trainer: Trainer) -> None:
    """Distil the model's own unconditional prediction into the concept's; the result is the moving average.

    Equation 6: ‖ε_θ(z_t, c, t) − sg ε_θ(z_t, ∅, t)‖², both from the student; z_t is drawn by the moving average.
    """
    average = trainer.moving_average(config.ema)
    concept, empty = trainer.text(task.prompt), trainer.text("")
    levels = model.timesteps(config.sampler_steps)

    def loss(step: int) -> torch.Tensor:
        level = trainer.random_level(len(levels))
        t = levels[level]
        noise = trainer.noise(config.batch)
        z = trainer.latents(noise, concept, level, config.sampler_steps, config.sampler_guidance, average)
        with torch.no_grad():
            target = model.predict_noise(z, t, empty)
        return mse_loss(model.predict_noise(z, t, concept), target)

    trainer.fit(
        loss, steps=config.steps, lr=config.lr, optimiser="adamw", weight_decay=config.weight_decay, clip=config.clip
    )
