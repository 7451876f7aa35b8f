"""The autoencoder's training."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import nn
from torch.nn import functional

from .networks import new_vae
from .train_data import Renders
from .train_loop import mixed_precision, train_part


def train_vae(
    renders: Renders, recipe: dict[str, Any], seed: int, work: Path, device: str, say: Callable[[str], None]
) -> AutoencoderKL:
    """Train on L1, L1 of neighbouring differences, MSE and a little KL; returns latents of mean 0 and spread 1."""
    torch.manual_seed(seed)
    modules = nn.ModuleDict({"vae": new_vae()}).to(device)
    vae: AutoencoderKL = modules["vae"]

    def loss_of_step(step: int) -> torch.Tensor:
        rng = np.random.default_rng((seed, 1, step))
        target = renders.pixels(rng.integers(len(renders.images), size=recipe["batch"])).to(device)
        torch.manual_seed(seed * 1_000_003 + step)
        with mixed_precision(device):
            posterior = vae.encode(target).latent_dist
            image = vae.decode(posterior.sample()).sample
        image = image.float()
        gradient = functional.l1_loss(image.diff(dim=2), target.diff(dim=2)) + functional.l1_loss(
            image.diff(dim=3), target.diff(dim=3)
        )
        kl = 0.5 * (posterior.mean**2 + posterior.var - 1 - posterior.logvar).float().mean()
        return (
            functional.l1_loss(image, target)
            + recipe["gradient_weight"] * gradient
            + recipe["mse_weight"] * functional.mse_loss(image, target)
            + recipe["kl_weight"] * kl
        )

    train_part("vae", modules, loss_of_step, work=work, steps=recipe["steps"], lr=recipe["lr"], ema=0.999, say=say)
    standardise(vae, renders, device)
    return vae.eval().requires_grad_(False)


@torch.no_grad()
def standardise(vae: AutoencoderKL, renders: Renders, device: str) -> None:
    """Fold each latent channel's mean and spread into the convolutions around the latent, so that its scale is 1."""
    latents = encode(vae, renders, device, count=4000)
    mean, spread = latents.mean((0, 2, 3)).to(device), latents.std((0, 2, 3)).to(device)
    channels = len(mean)
    vae.quant_conv.weight[:channels] /= spread[:, None, None, None]
    vae.quant_conv.bias[:channels] = (vae.quant_conv.bias[:channels] - mean) / spread
    vae.quant_conv.bias[channels:] -= 2 * spread.log()
    vae.post_quant_conv.bias += vae.post_quant_conv.weight[:, :, 0, 0] @ mean
    vae.post_quant_conv.weight *= spread[None, :, None, None]


@torch.no_grad()
def encode(
    vae: AutoencoderKL, renders: Renders, device: str, count: int | None = None, batch: int = 64
) -> torch.Tensor:
    """Mean latents of the first `count` renders, float32 of shape (count, 4, 16, 16) on the CPU."""
    rows = np.arange(len(renders.images) if count is None else min(count, len(renders.images)))
    parts = []
    for start in range(0, len(rows), batch):
        with mixed_precision(device):
            mean = vae.encode(renders.pixels(rows[start : start + batch]).to(device)).latent_dist.mean
        parts.append(mean.float().cpu())
    return torch.cat(parts).contiguous()  # as they are when read again: convolutions round by memory layout
