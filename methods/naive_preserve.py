"""The naive objective: erase one concept and preserve one chosen other (slides of arXiv 2410.15618's author, 2024)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
from torch.nn.functional import mse_loss

from erasebench import MethodConfig, method

if TYPE_CHECKING:
    from erasebench import ErasureTask, TextToImage, Trainer


class Config(MethodConfig):
    """Defaults are the slides'; what they leave open is Adversarial Preservation's (arXiv 2410.15618, section 5)."""

    parameters: Literal["noxattn", "xattn", "full"] = "xattn"
    preserved: str = ""  # c_p: "", "road", "lexus", "person" in the slides
    neutral: str = ""  # c_n: what the concept becomes
    preservation: float = 1.0  # λ
    steps: int = 1000
    batch: int = 1
    lr: float = 1e-5
    sampler_steps: int = 50  # DDIM
    sampler_guidance: float = 3.0


@method(
    label="Naive preserve",
    paper="arXiv 2410.15618",
    config=Config,
    several="turns",
    presets={
        "nudity": {"parameters": "noxattn"},
        "mini": {"parameters": "xattn", "steps": 100, "batch": 4, "lr": 3e-3, "sampler_steps": 12},
    },
)
def naive_preserve(model: TextToImage, task: ErasureTask, config: Config, trainer: Trainer) -> None:
    """Give the concept the neutral prompt's prediction, and hold one preserved concept where it was.

    Slides, equation 1: ‖ε_θ(c_e) − ε*(c_n)‖² + λ ‖ε_θ(c_p) − ε*(c_p)‖², on z_t that the student draws for c_e.
    """
    teacher = trainer.teacher
    concept = trainer.text(task.prompt)
    learned = trainer.text(task.prompt, config.preserved).repeat_interleave(config.batch, 0)
    targets = trainer.text(config.neutral, config.preserved).repeat_interleave(config.batch, 0)
    levels = model.timesteps(config.sampler_steps)

    def loss(step: int) -> torch.Tensor:
        level = trainer.random_level(len(levels))
        t = levels[level]
        noise = trainer.noise(config.batch)
        z = trainer.latents(noise, concept, level, config.sampler_steps, config.sampler_guidance)
        both = torch.cat([z, z])
        with torch.no_grad():
            neutral, original = model.predict_noise(both, t, targets, teacher).chunk(2)
        erased, preserved = model.predict_noise(both, t, learned).chunk(2)
        return mse_loss(erased, neutral) + config.preservation * mse_loss(preserved, original)

    trainer.fit(loss, steps=config.steps, lr=config.lr)
