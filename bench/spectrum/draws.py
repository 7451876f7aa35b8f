"""The shared draws of a spectrum: noisy latents of the original model at several noise levels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ..images.jobs import image_seed
from ..models.devices import switch_off_tf32
from ..models.provenance import made_on
from ..models.text_to_image import TextToImage
from ..storage.keys import content_key

SAMPLER_STEPS = 50  # DDIM
LEVELS, DRAWS = 4, 2  # noise levels, and latents at each: an error within levels needs two
PRECISION = "float32 without TF32"  # in bf16 the changes that a training makes are smaller than the rounding


@dataclass(frozen=True)
class Draw:
    """One latent z of shape (1, channels, height, width), exactly at timestep t."""

    z: torch.Tensor
    t: int


@dataclass(frozen=True)
class Latents:
    """Which latents are drawn: how many noise levels, how many at each (under two have no standard error), the seed."""

    levels: int = LEVELS
    draws: int = DRAWS
    seed: int = 0

    @property
    def count(self) -> int:
        """How many there are."""
        return self.levels * self.draws


def draws_key(model: TextToImage, latents: Latents) -> str:
    """A hash of all that the draws depend on."""
    return content_key(
        levels=latents.levels,
        draws=latents.draws,
        seed=latents.seed,
        model=model.revision,
        made_on=made_on(model.device),
        precision=PRECISION,
        steps=SAMPLER_STEPS,
    )


def noise_levels(count: int) -> list[int]:
    """The sampler steps that the draws stop before: one in the middle of each of `count` equal parts of the schedule.

    >>> noise_levels(2)
    [12, 37]
    """
    return [int((k + 0.5) / count * SAMPLER_STEPS) for k in range(count)]


def shared_draws(model: TextToImage, latents: Latents) -> Sequence[Draw]:
    """The latents, level by level, drawn by the original for the empty prompt.

    Every concept and every method is scored on the same ones, so that two scores compare in pairs.
    """
    empty = model.encode([""])
    timesteps = model.timesteps(SAMPLER_STEPS)
    found: list[Draw] = []
    for level in noise_levels(latents.levels):
        for _ in range(latents.draws):
            noise = model.noise([image_seed(latents.seed, "spectrum", len(found))])
            z = model.denoise(noise, empty, empty, steps=SAMPLER_STEPS, guidance=1.0, until=level)
            found.append(Draw(z, timesteps[level]))
    return found


def require_float32(model: TextToImage) -> None:
    """Raise unless the model predicts in float32; without TF32, in which a GPU would round weights to ten bits.

    Raises:
        ValueError: the weights were cast, or are cast for every prediction.
    """
    if model.autocast_dtype is not None or {model.unet.dtype, model.text_encoder.dtype} != {torch.float32}:
        raise ValueError("a spectrum needs a model in float32: load it anew, without set_precision.")
    switch_off_tf32()
