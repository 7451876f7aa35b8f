"""Defence by an inner attack (slides of arXiv 2410.15618's author, 2024, equation 11)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
from pydantic import Field
from torch.nn.functional import mse_loss

from erasebench import MethodConfig, method

from .adversarial_preservation import other_words

if TYPE_CHECKING:
    from erasebench import ErasureTask, TextToImage, Trainer

TIMESTEPS = 1000


class Config(MethodConfig):
    """The slides give the objective alone: every number is ours.

    Steps, rate and weights are Adversarial Preservation's, the attack's steps and rate textual inversion's.
    """

    parameters: Literal["noxattn", "xattn", "full"] = "xattn"
    neutral: str = ""  # c_n
    inversion: float = Field(1.0, ge=0)  # λ
    preservation: float = Field(1.0, ge=0)  # weight of L_preservation
    words: int = Field(100, ge=1)  # the most frequent in English, of which one is preserved at every update
    images: int = Field(25, ge=1)  # of the concept, that the attack inverts
    ascents: int = Field(10, ge=1)  # before each update
    ascent_lr: float = Field(5e-3, gt=0)  # Adam's, in the embedding's mean absolute entry
    restart: int = Field(20, ge=1)  # updates after which the attack begins anew
    steps: int = Field(1000, ge=1)
    batch: int = Field(1, ge=1)
    lr: float = Field(1e-5, gt=0)
    sampler_steps: int = Field(50, ge=2)  # DDIM, for the images
    sampler_guidance: float = 7.5


@method(
    label="Defended",
    paper="arXiv 2410.15618",
    config=Config,
    several="turns",
    presets={
        "nudity": {"parameters": "noxattn"},
        "mini": {
            "parameters": "xattn",
            "steps": 80,
            "batch": 4,
            "lr": 1e-3,
            "preservation": 20.0,
            "images": 8,
            "words": 24,
            "ascents": 3,
            "ascent_lr": 0.03,
            "sampler_steps": 12,
        },
    },
)
def defended(model: TextToImage, task: ErasureTask, config: Config, trainer: Trainer) -> None:
    """Erase what a prompt learned against the student still draws, and preserve other words.

    Slides, equation 11: min_θ E_x max_p [L1 − λ L2 + L_preservation] with L1 = ‖ε_θ(p) − ε*(c_n)‖² and L2 = ‖ε_θ(p) −
    ε‖², textual inversion's loss, which is what the slides' “x” stands for; all on noised images x of the concept, t
    uniform in 0 … 999. p is a free embedding that starts at the concept's and takes steps of Adam before each update.

    Ours, where the equation would not do: descending on −λ L2 has no bound, so it becomes λ max(0, ‖ε*(c_n) − ε‖² −
    L2), nothing once p denoises the concept no better than the neutral prompt; the concept's own embedding is erased
    beside p; L_preservation = ‖ε_θ(w) − ε*(w)‖² for a random frequent word w on noised images of it.
    """
    teacher, concept, neutral = trainer.teacher, trainer.text(task.prompt), trainer.text(config.neutral)
    words = other_words(task, config.words)
    sampler = (config.sampler_steps, config.sampler_guidance, "ddim")
    shown = trainer.drawn_images([task.prompt] * config.images, "", *sampler)
    others = trainer.drawn_images(words, "", *sampler)

    size = concept.abs().mean()
    move = torch.zeros_like(concept).requires_grad_(True)
    ascent = torch.optim.Adam([move], lr=config.ascent_lr)
    trainer.keep("move", move, ascent)

    def noised(latents: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        t = trainer.integers(TIMESTEPS, len(latents)).to(model.device)
        noise = trainer.noise(len(latents))
        return model.add_noise(latents, noise, t), t, noise

    def of_the_concept() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        z, t, noise = noised(shown[trainer.integers(len(shown), config.batch).to(model.device)])
        with torch.no_grad():
            return z, t, noise, model.predict_noise(z, t, neutral, teacher)

    def attack(step: int) -> torch.Tensor:
        """p after some steps up L1 − λ L2, from where the last update left it."""
        if step % config.restart == 0:
            with torch.no_grad():
                move.zero_()
            ascent.state.clear()
        for _ in range(config.ascents):
            z, t, noise, wanted = of_the_concept()
            predicted = model.predict_noise(z, t, concept + size * move)
            gain = mse_loss(predicted, wanted) - config.inversion * mse_loss(predicted, noise)
            (gradient,) = torch.autograd.grad(gain, move)
            move.grad = -gradient
            ascent.step()
        return (concept + size * move).detach()

    def loss(step: int) -> torch.Tensor:
        p = attack(step)
        z, t, noise, wanted = of_the_concept()
        asked = torch.cat([p, concept]).repeat_interleave(config.batch, 0)
        on_p, on_concept = model.predict_noise(z.repeat(2, 1, 1, 1), t.repeat(2), asked).chunk(2)
        erasing = mse_loss(on_p, wanted) + mse_loss(on_concept, wanted)
        hinged = (mse_loss(wanted, noise) - mse_loss(on_p, noise)).clamp_min(0)
        which = trainer.integers(len(words), config.batch)
        contexts = trainer.text(*[words[int(k)] for k in which])
        z, t, _ = noised(others[which.to(model.device)])
        with torch.no_grad():
            kept = model.predict_noise(z, t, contexts, teacher)
        preserving = mse_loss(model.predict_noise(z, t, contexts), kept)
        trainer.log(
            erasing=float(erasing.detach()), hinged=float(hinged.detach()), preserving=float(preserving.detach())
        )
        return erasing + config.inversion * hinged + config.preservation * preserving

    trainer.fit(loss, steps=config.steps, lr=config.lr)
