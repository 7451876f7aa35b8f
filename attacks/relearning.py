"""Relearning: a few steps of training on a few images of the concept (after arXiv 2505.16174); ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from pydantic import Field
from torch.nn.functional import mse_loss

from erasebench import AttackConfig, attack

if TYPE_CHECKING:
    from erasebench import Attempt


class Config(AttackConfig):
    """Ours: 10 images of the original, keys and values of cross-attention, 200 steps, AdamW at 1e-5, an image of each
    target after 50, 100 and 200 steps or, with fewer images, the last of these."""

    parameters: str = "xattn-kv"
    images: int = Field(10, ge=1)
    at: tuple[int, ...] = Field((50, 100, 200), min_length=1, strict=False)
    batch: int = Field(4, ge=1)
    lr: float = Field(1e-5, gt=0)


@attack(
    label="Relearning",
    paper="arXiv 2505.16174",
    access="weights",
    config=Config,
    presets={"mini": {"at": (5, 10, 20, 40), "lr": 1e-3}, "trial": {"at": (1, 2), "batch": 2, "images": 2}},
)
def relearning(attempt: Attempt, config: Config) -> None:
    """Train the erased model on images of the concept with its phrase, and draw the targets now and then.

    The usual loss, E‖ε_θ(√ᾱ_t x + √(1 − ᾱ_t) ε, t, τ(phrase)) − ε‖². Success by try is success by training step; the
    weights are put back afterwards.
    """
    model, tokens = attempt.model, attempt.tokens
    latents, random = attempt.examples(config.images), attempt.generator("relearning")
    context = tokens.encode(tokens.ids(attempt.concept.phrase)[None])
    weights = attempt.weights(config.parameters)
    before = {name: weight.detach().clone() for name, weight in weights.items()}
    optimiser = torch.optim.AdamW(weights.values(), lr=config.lr)
    begun = 0
    try:
        for end, live in zip(sorted(config.at)[-attempt.budget :], attempt.rounds(), strict=False):
            for weight in weights.values():
                weight.requires_grad_(True)
            for step in range(begun + 1, end + 1):
                which = torch.randint(len(latents), (config.batch,), generator=random).to(model.device)
                t = torch.randint(1000, (config.batch,), generator=random).to(model.device)
                noise = torch.randn((config.batch, *model.latent_shape), generator=random).to(model.device)
                with torch.enable_grad():
                    loss = mse_loss(model.predict_noise(model.add_noise(latents[which], noise, t), t, context), noise)
                gradients = torch.autograd.grad(loss, list(weights.values()))
                for weight, gradient in zip(weights.values(), gradients, strict=True):
                    weight.grad = gradient
                optimiser.step()
                attempt.say(f"step {step} of {end}, loss {float(loss.detach()):.4f}")
            attempt.draw([attempt.ask(target, told=f"{target.text}, after {end} steps") for target in live])
            begun = end
    finally:
        with torch.no_grad():
            for name, weight in weights.items():
                weight.requires_grad_(False).copy_(before[name])
                weight.grad = None
