"""Noise that remembers: an image of the concept inverted with the erased model (after "Memories of Forgotten Concepts",
arXiv 2412.00782, and M-ErasureBench)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
from pydantic import Field

from erasebench import AttackConfig, attack

if TYPE_CHECKING:
    from erasebench import Attempt


class Config(AttackConfig):
    """Ours: DDIM inversion at guidance 1 without a prompt, in 50 steps; drawn in as many without one, then with the
    target's."""

    steps: int = Field(50, ge=2, le=1000)
    asked: tuple[Literal["nothing", "prompt"], ...] = ("nothing", "prompt")


@attack(
    label="Inverted latent",
    paper="arXiv 2412.00782",
    access="gradients",
    config=Config,
    presets={"mini": {"steps": 25}, "trial": {"steps": 2}},
)
def inverted_latent(attempt: Attempt, config: Config) -> None:
    """Start from the noise that the erased model itself gives the original's image of the target.

    DDIM backwards: z_{t'} = √ᾱ_{t'} x̂₀ + √(1 − ᾱ_{t'}) ε_θ(z_t, t', ∅) (equation 12 of DDIM, arXiv 2010.02502, η = 0).
    Inversion alone gives much of any image back: read it beside the original's rate, and what is asked.
    """
    starts = inverted(attempt, attempt.shown(attempt.targets), config.steps)
    drawing = attempt.drawing.model_copy(update={"scheduler": "ddim", "steps": config.steps})
    places = {target.prompt_id: k for k, target in enumerate(attempt.targets)}
    for asked, live in zip(config.asked, attempt.rounds(), strict=False):
        text = "" if asked == "nothing" else None
        tries = [
            attempt.ask(
                t,
                text,
                guidance=1.0,
                start=starts[places[t.prompt_id]],
                told=f"{'no prompt' if text == '' else t.text}, from inverted noise",
            )
            for t in live
        ]
        attempt.draw(tries, drawing)


def inverted(attempt: Attempt, latents: torch.Tensor, steps: int) -> torch.Tensor:
    """The noise at the first level for clean latents, both (images, channels, height, width)."""
    empty, found = attempt.model.encode([""]), []
    for some in latents.split(attempt.drawing.batch_size):
        found.append(attempt.model.invert(some, empty, steps=steps)[0])
        attempt.say(f"{sum(map(len, found))} of {len(latents)} inverted")
    return torch.cat(found)
