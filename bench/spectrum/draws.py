"""The shared draws of a spectrum: noisy latents of the original model at several noise levels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ..generate import image_seed
from ..models import TextToImage
from ..store import content_key

SAMPLER_STEPS = 50  # DDIM


@dataclass(frozen=True)
class Draw:
    """One latent z of shape (1, channels, height, width), exactly at timestep t."""

    z: torch.Tensor
    t: int


def draws_key(model: TextToImage, count: int, seed: int) -> str:
    """A hash of all that the draws depend on."""
    return content_key(draws=count, seed=seed, model=model.revision, device=model.device, steps=SAMPLER_STEPS)


def levels(count: int) -> list[int]:
    """The sampler steps that the draws stop before: one in the middle of each of `count` equal parts of the schedule.

    >>> levels(2)
    [12, 37]
    """
    return [int((k + 0.5) / count * SAMPLER_STEPS) for k in range(count)]


def shared_draws(model: TextToImage, count: int, seed: int) -> Sequence[Draw]:
    """`count` latents that the original model draws for the empty prompt, each at its own noise level.

    Every concept and every method is scored on the same ones, so that two scores compare in pairs.
    """
    empty = model.encode([""])
    timesteps = model.timesteps(SAMPLER_STEPS)
    found = []
    for k, level in enumerate(levels(count)):
        noise = model.noise([image_seed(seed, "spectrum", k)])
        z = model.denoise(noise, empty, empty, steps=SAMPLER_STEPS, guidance=1.0, until=level)
        found.append(Draw(z, timesteps[level]))
    return found
