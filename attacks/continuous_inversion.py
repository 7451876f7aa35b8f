"""Inversion of the whole conditioning: stronger than a word, as no text encoder limits it; ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from pydantic import Field
from torch.nn.functional import mse_loss

from erasebench import AttackConfig, attack

if TYPE_CHECKING:
    from erasebench import Attempt


class Config(AttackConfig):
    """Ours; steps, batch and images as concept inversion's, whose authors give none for this."""

    steps: int = Field(1000, ge=1)
    batch: int = Field(16, ge=1)
    lr: float = Field(0.01, gt=0)
    images: int = Field(25, ge=1)


@attack(
    label="Continuous inversion",
    paper="",
    access="gradients",
    config=Config,
    presets={
        "mini": {"steps": 150, "batch": 4, "lr": 0.03, "images": 16},
        "trial": {"steps": 2, "batch": 2, "images": 2},
    },
)
def continuous_inversion(attempt: Attempt, config: Config) -> None:
    """Learn an embedding c on the erased model, and draw it.

    Slides' equation 10 with the embedding itself for the prompt: min_c E‖ε_θ(√ᾱ_t x + √(1 − ᾱ_t) ε, t, c) − ε‖² over
    images x of the concept. It starts at the embedding of the concept's phrase; all targets are asked for with it.
    """
    embedding = attempt.keep("embedding", lambda: learned(attempt, config))
    for k, live in enumerate(attempt.rounds()):
        seeds = [t.seed if k == 0 else attempt.number("continuous-inversion", t.prompt_id, k) for t in live]
        attempt.draw([attempt.ask(t, embedding, seed=seed) for t, seed in zip(live, seeds, strict=True)])


def learned(attempt: Attempt, config: Config) -> torch.Tensor:
    """The embedding, of shape (77, width)."""
    model, tokens = attempt.model, attempt.tokens
    latents, random = attempt.examples(config.images), attempt.generator("continuous-inversion")
    context = tokens.encode(tokens.ids(attempt.concept.phrase)[None]).clone().requires_grad_(True)
    optimiser = torch.optim.AdamW([context], lr=config.lr, weight_decay=0.0)
    for step in range(config.steps):
        which = torch.randint(len(latents), (config.batch,), generator=random).to(model.device)
        t = torch.randint(1000, (config.batch,), generator=random).to(model.device)
        noise = torch.randn((config.batch, *model.latent_shape), generator=random).to(model.device)
        with torch.enable_grad():
            loss = mse_loss(attempt.predict(model.add_noise(latents[which], noise, t), t, context), noise)
        (context.grad,) = torch.autograd.grad(loss, context)
        optimiser.step()
        attempt.say(f"step {step + 1} of {config.steps}, loss {float(loss.detach()):.4f}")
    return context.detach()[0]
