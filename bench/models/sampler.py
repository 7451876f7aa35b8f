"""Samplers: a latent from one noise level to the next, with coefficients that are numbers before the first step.

A number that lies on a GPU would have to be waited for at every step.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch
from diffusers import LMSDiscreteScheduler, PNDMScheduler

from .sampler_steps import first_level

THEIRS: dict[str, tuple[Any, dict[str, Any]]] = {
    "lms": (LMSDiscreteScheduler, {"timestep_spacing": "linspace", "steps_offset": 1}),
    "pndm": (PNDMScheduler, {"timestep_spacing": "leading", "steps_offset": 1, "skip_prk_steps": True}),
}


class Sampler(Protocol):
    """Goes from pure noise to a clean latent.

    Attributes:
        timesteps: the noise levels that noise is predicted at, noisiest first.
        start: what pure noise of variance 1 is multiplied with.
    """

    timesteps: list[float]
    start: float

    def scaled(self, z: torch.Tensor, step: int) -> torch.Tensor:
        """The latent as the network takes it at a step."""

    def step(self, z: torch.Tensor, noise: torch.Tensor, step: int) -> torch.Tensor:
        """The latent at the next level, from the noise that is predicted at this step; steps are taken in order."""


class MultistepSampler:
    """DPM-Solver++ in x̂0 (arXiv 2211.01095): of first order, which is DDIM with η = 0, or of second (2M, algorithm 2).

    With α = √ᾱ, σ = √(1 − ᾱ) and λ = log(α/σ): z' = σ'/σ · z + (α' − σ'α/σ) · D, where D is x̂0 at the first order, and
    x̂0 + (x̂0 − x̂0 of the step before) / 2r with r = (λ − λ_before) / (λ' − λ) at the second.

    Args:
        products: the model's ᾱ by level.
        steps: how many.
        second_order: whether it is 2M. That has one level more and ends at ᾱ = 1, by a step of first order; DDIM ends
            at ᾱ of level 0, as Stable Diffusion configures it.
    """

    start = 1.0

    def __init__(self, products: Sequence[float], steps: int, second_order: bool) -> None:
        first, width = first_level("dpm++" if second_order else "ddim", steps, len(products))
        self.timesteps: list[float] = [first - k * width for k in range(steps)]
        kept = [products[int(t)] for t in self.timesteps] + [1.0 if second_order else products[0]]
        self._levels = [(math.sqrt(product), math.sqrt(1 - product)) for product in kept]
        self._second_order = second_order
        self._before: torch.Tensor | None = None  # x̂0 of the step before

    def scaled(self, z: torch.Tensor, step: int) -> torch.Tensor:
        """The latent itself."""
        return z

    def step(self, z: torch.Tensor, noise: torch.Tensor, step: int) -> torch.Tensor:
        """The latent at the next level; at the first order, rows may be left out from any step on."""
        (alpha, sigma), (next_alpha, next_sigma) = self._levels[step], self._levels[step + 1]
        clean = (z - sigma * noise) / alpha
        direction, slope = clean, self._slope(step)
        if slope and self._before is not None:
            direction = clean + slope * (clean - self._before)
        if self._second_order:
            self._before = clean
        return next_sigma / sigma * z + (next_alpha - next_sigma * alpha / sigma) * direction

    def _slope(self, step: int) -> float:
        """1/2r; 0 for a step of first order."""
        if not self._second_order or step == 0 or step == len(self.timesteps) - 1:
            return 0.0
        before, here, after = (math.log(alpha / sigma) for alpha, sigma in self._levels[step - 1 : step + 2])
        return (after - here) / (here - before) / 2


class DiffusersSampler:
    """One of diffusers' samplers.

    LMS has its own "linspace" timesteps, as in the evaluation scripts that use it. PNDM is without Runge-Kutta steps,
    as Stable Diffusion v1 configures it.

    Args:
        solver: lms or pndm.
        levels: the model's noise schedule.
        steps: how many.
    """

    def __init__(self, solver: str, levels: Mapping[str, Any], steps: int) -> None:
        kind, own = THEIRS[solver]
        self._scheduler = kind(**{**levels, "prediction_type": "epsilon"}, **own)  # `step` is given noise
        self._scheduler.set_timesteps(steps)
        self._places = self._scheduler.timesteps
        self.timesteps: list[float] = self._places.tolist()
        self.start = float(self._scheduler.init_noise_sigma)

    def scaled(self, z: torch.Tensor, step: int) -> torch.Tensor:
        """The latent with a variance that the network knows."""
        scaled: torch.Tensor = self._scheduler.scale_model_input(z, self._places[step])
        return scaled

    def step(self, z: torch.Tensor, noise: torch.Tensor, step: int) -> torch.Tensor:
        """The latent at the next level."""
        following: torch.Tensor = self._scheduler.step(noise, self._places[step], z).prev_sample
        return following


def new_sampler(solver: str, levels: Mapping[str, Any], products: Sequence[float], steps: int) -> Sampler:
    """A sampler on a model's noise levels, for one walk.

    Args:
        solver: ddim, dpm++, lms or pndm.
        levels: the noise schedule, as diffusers' samplers take it.
        products: ᾱ by level.
        steps: how many.
    """
    if solver in THEIRS:
        return DiffusersSampler(solver, levels, steps)
    return MultistepSampler(products, steps, solver == "dpm++")
