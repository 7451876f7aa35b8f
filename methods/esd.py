"""ESD: Erasing Concepts from Diffusion Models (Gandikota et al., ICCV 2023, arXiv 2303.07345)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

import torch
from torch.nn.functional import mse_loss

from erasebench import MethodConfig, method

if TYPE_CHECKING:
    from erasebench import ErasureTask, TextToImage, Trainer


class Config(MethodConfig):
    """Defaults are the original recipe's for Stable Diffusion v1.4 (paper, section 4; authors' code).

    The recipe "2024" is the authors' newer code: latents from the original model, lr 5e-5, 200 steps; its negative
    guidance of 2 from the concept's own prediction is η = 1 here. A preset's own steps and lr stand above the recipe's.
    What differs from that code: it samples with the model's own scheduler (PNDM; here DDIM) at 1024 × 1024 pixels (here
    the model's size), keeps weights in bfloat16, and its ESD-u is every linear and convolutional layer outside
    cross-attention, with the time embedding and the last layer but without normalisations.
    """

    recipes: ClassVar = {"2024": {"steps": 200, "lr": 5e-5}}

    recipe: Literal["original", "2024"] = "original"
    parameters: Literal["xattn", "noxattn", "full", "selfattn"] = "noxattn"  # ESD-u; ESD-x is xattn (section 4)
    steps: int = 1000  # authors' code
    batch: int = 1
    lr: float = 1e-5  # section 4
    eta: float = 1.0  # negative guidance, equation 6
    sampler_steps: int = 50  # DDIM, authors' code
    sampler_guidance: float = 3.0  # authors' code


def target(concept: torch.Tensor, empty: torch.Tensor, eta: float) -> torch.Tensor:
    """ε*(∅) − η (ε*(c) − ε*(∅)) (equation 6)."""
    return empty - eta * (concept - empty)


@method(
    label="ESD",
    paper="arXiv 2303.07345",
    config=Config,
    several="turns",
    presets={
        "style": {"parameters": "xattn"},  # section 4: ESD-x for styles, ESD-u for nudity and objects
        "mini": {"parameters": "xattn", "steps": 25, "batch": 4, "lr": 3e-3, "sampler_steps": 12},
    },
)
def esd(model: TextToImage, task: ErasureTask, config: Config, trainer: Trainer) -> None:
    """Steer the noise prediction for the concept away from it, against the original's guidance.

    Equations 5 and 6: ‖ε_θ(z_t, c, t) − [ε*(z_t, ∅, t) − η (ε*(z_t, c, t) − ε*(z_t, ∅, t))]‖². z_t is drawn by the
    student itself (recipe 2024: by the original) down to exactly the noise level that is trained on.
    """
    teacher = trainer.teacher
    concept, empty = trainer.text(task.prompt), trainer.text("")
    both = torch.cat([empty, concept])
    levels, sampler = model.timesteps(config.sampler_steps), (config.sampler_steps, config.sampler_guidance)

    def targets(z: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        noise = model.predict_noise(z.repeat(2, 1, 1, 1), t.repeat(2), both.repeat_interleave(len(z), 0), teacher)
        unconditional, conditional = noise.chunk(2)
        return target(conditional, unconditional, config.eta)

    def draw(generator: torch.Generator, steps: int) -> dict[str, torch.Tensor]:
        level = torch.randint(len(levels), (steps,), generator=generator).repeat_interleave(config.batch)
        t = torch.tensor(levels)[level].to(model.device)
        noise = trainer.noise(steps * config.batch, generator)
        z = trainer.latents(noise, concept, level.tolist(), *sampler, unet=teacher)
        drawn = {"z": z, "t": t, "target": targets(z, t)}
        return {name: value.unflatten(0, (steps, config.batch)) for name, value in drawn.items()}

    what = {"esd": task.prompt, "eta": config.eta, "guidance": config.sampler_guidance, "batch": config.batch}
    drawn_ahead = trainer.shared.drawn_ahead({**what, "sampler": config.sampler_steps}, draw)

    def batch_of(step: int) -> dict[str, torch.Tensor]:
        if config.recipe == "2024":
            return drawn_ahead(step)
        level = trainer.random_level(len(levels))
        t = torch.full((config.batch,), levels[level], device=model.device)
        z = trainer.latents(trainer.noise(config.batch), concept, level, *sampler)
        with torch.no_grad():
            return {"z": z, "t": t, "target": targets(z, t)}

    def loss(step: int) -> torch.Tensor:
        batch = batch_of(step)
        return mse_loss(model.predict_noise(batch["z"], batch["t"], concept), batch["target"])

    trainer.fit(loss, steps=config.steps, lr=config.lr)
