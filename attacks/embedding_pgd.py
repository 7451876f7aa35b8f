"""A bounded change of the conditioning by projected gradients (RACE's attack; Kim et al., arXiv 2405.16341)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from pydantic import Field

from erasebench import AttackConfig, attack

if TYPE_CHECKING:
    from erasebench import Attempt, Job


class Config(AttackConfig):
    """Defaults are RACE's code: radius 0.1, steps of a quarter of it, 10 steps from a random start, entries kept within
    the embedding's least and greatest.

    Ours: it is used to attack, where RACE trains against it: every step has another level and noise, every image
    another start. `relative`: the radius in units of the embedding's mean absolute entry, so that models compare.
    """

    radius: float = Field(0.1, gt=0)
    relative: bool = False
    steps: int = Field(10, ge=1)
    step_size: float = Field(0.25, gt=0)  # of the radius
    batch: int = Field(1, ge=1)  # targets together, which changes nothing but speed


@attack(
    label="Embedding PGD",
    paper="arXiv 2405.16341",
    access="gradients",
    config=Config,
    presets={"mini": {"radius": 2.0, "relative": True, "steps": 20, "batch": 8}, "trial": {"steps": 2}},
)
def embedding_pgd(attempt: Attempt, config: Config) -> None:
    """Change a prompt's embedding within a box, so that the erased model predicts what the original does.

    Equation 6 with the original's prediction for the target: min over ‖δ‖_∞ ≤ r of ‖ε_θ(z_t, c + δ) − ε_θ*(z_t, c)‖²,
    z_t the noised latents of the original's image of the target.
    """
    for k, live in enumerate(attempt.rounds()):
        found: list[torch.Tensor] = []
        for begin in range(0, len(live), config.batch):
            found += changed(attempt, config, live[begin : begin + config.batch], k)
        attempt.draw([attempt.ask(t, own, told=f"{t.text} + δ") for t, own in zip(live, found, strict=True)])


def changed(attempt: Attempt, config: Config, targets: Sequence[Job], k: int) -> torch.Tensor:
    """The targets' embeddings after the attack from their k-th start, (targets, 77, width)."""
    model, tokens = attempt.model, attempt.tokens
    random = [attempt.generator("embedding-pgd", target.prompt_id, k) for target in targets]
    plain = tokens.encode(torch.stack([tokens.ids(target.text) for target in targets]))
    least, most = plain.amin((1, 2), keepdim=True), plain.amax((1, 2), keepdim=True)
    radius = torch.full_like(least, config.radius)
    if config.relative:
        radius = radius * plain.abs().mean((1, 2), keepdim=True)
    start = torch.stack([torch.rand(plain.shape[1:], generator=one) for one in random]).to(model.device)
    moved = (plain + radius * (2 * start - 1)).clamp(least, most)
    latents, meant = attempt.shown(targets), attempt.meant(targets)
    for step in range(config.steps):
        t = torch.cat([torch.randint(1000, (1,), generator=one) for one in random]).to(model.device)
        noise = torch.stack([torch.randn(model.latent_shape, generator=one) for one in random]).to(model.device)
        z = model.add_noise(latents, noise, t)
        with torch.no_grad():
            wanted = model.predict_noise(z, t, meant, attempt.original)
        moved.requires_grad_(True)
        with torch.enable_grad():
            error = (model.predict_noise(z, t, moved) - wanted).square().flatten(1).mean(1)
        (gradient,) = torch.autograd.grad(error.sum(), moved)
        further = moved.detach() - config.step_size * radius * gradient.sign()
        moved = torch.minimum(torch.maximum(further, plain - radius), plain + radius).clamp(least, most)
        attempt.say(f"step {step + 1} of {config.steps}, loss {float(error.detach().mean()):.4f}")
    return moved
