"""Models that predict velocity, as Stable Diffusion 2 does at 768 pixels: their predictions as noise.

With z = √ᾱ x₀ + √(1 − ᾱ) ε a network is trained on v = √ᾱ ε − √(1 − ᾱ) x₀ (arXiv 2202.00512, section 4), so that
ε = √ᾱ v + √(1 − ᾱ) z.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch


def noise_of_velocity(
    velocity: torch.Tensor, z: torch.Tensor, t: torch.Tensor | float, products: Sequence[float]
) -> torch.Tensor:
    """ε from v, of shape (batch, channels, height, width), in float32.

    Args:
        velocity: what the network gave, float32.
        z: the latents that it was given, of variance ᾱ and 1 − ᾱ.
        t: whole levels, one a row; or one number for all, which may lie between two levels: there σ = √((1 − ᾱ) / ᾱ)
            is interpolated, as LMS does.
        products: ᾱ by level.
    """
    if isinstance(t, torch.Tensor):
        product = torch.tensor(products, device=t.device)[t.long()].view(-1, 1, 1, 1)
        return product.sqrt() * velocity + (1 - product).sqrt() * z.float()
    one = _product(t, products)
    return math.sqrt(one) * velocity + math.sqrt(1 - one) * z.float()


def _product(t: float, products: Sequence[float]) -> float:
    below, share = int(t), t - int(t)
    if not share:
        return products[below]
    low, high = (math.sqrt(1 / product - 1) for product in products[below : below + 2])
    return 1 / (1 + (low + share * (high - low)) ** 2)
