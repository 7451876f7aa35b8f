"""The judge's training: contrastive on captions, with heads for concepts and styles."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL
from open_clip.model import CLIP
from torch import nn
from torch.nn import functional
from transformers import CLIPTokenizer

from ..parts import JUDGE_CONFIG
from .data import CONCEPT_NAMES, STYLE_NAMES, Renders
from .loop import train_part


def new_judge(table: torch.Tensor) -> nn.ModuleDict:
    """An open_clip CLIP over the frozen token table, and linear heads on its image embedding."""
    clip = CLIP(**JUDGE_CONFIG, quick_gelu=False)
    clip.token_embedding.weight.data.copy_(table)
    clip.token_embedding.weight.requires_grad_(False)
    width = JUDGE_CONFIG["embed_dim"]
    return nn.ModuleDict({
        "clip": clip,
        "concepts": nn.Linear(width, len(CONCEPT_NAMES)),
        "styles": nn.Linear(width, len(STYLE_NAMES)),
    })  # fmt: skip


def train_judge(
    renders: Renders,
    latents: torch.Tensor,
    vae: AutoencoderKL,
    table: torch.Tensor,
    tokenizer: CLIPTokenizer,
    recipe: dict[str, Any],
    seed: int,
    work: Path,
    device: str,
    say: Callable[[str], None],
) -> nn.ModuleDict:
    """Train the judge; a share of its images is decoded from slightly noisy latents, as all samples are."""
    torch.manual_seed(seed)
    modules = new_judge(table).to(device)
    clip: CLIP = modules["clip"]
    through_vae = round(recipe["batch"] * recipe["through_vae"])
    padding = nn.functional.pad

    def loss_of_step(step: int) -> torch.Tensor:
        rng = np.random.default_rng((seed, 2, step))
        rows = rng.integers(len(renders.images), size=recipe["batch"])
        pixels = renders.pixels(rows).to(device)
        torch.manual_seed(seed * 1_000_003 + step)
        with torch.autocast(device, torch.bfloat16):
            with torch.no_grad():
                z = latents[torch.from_numpy(rows[:through_vae])].to(device)
                z = z + 0.15 * torch.rand(len(z), 1, 1, 1, device=device) * torch.randn_like(z)
                pixels = torch.cat([vae.decode(z).sample.float().clamp(-1, 1), pixels[through_vae:]])
            # The judge sees images shifted by up to 4 pixels, and never learns where an edge lies exactly.
            dx, dy = rng.integers(0, 9, 2)
            pixels = padding(pixels, (4, 4, 4, 4), mode="replicate")[..., dy : dy + 64, dx : dx + 64]
            features = clip.encode_image(pixels, normalize=False).float()
            tokens = tokenizer(renders.captions(rows, rng), padding="max_length", max_length=77, truncation=True, return_tensors="pt")
            texts = clip.encode_text(tokens.input_ids.to(device), normalize=True).float()
        images = functional.normalize(features, dim=-1)
        logits = clip.logit_scale.exp().clamp(max=100) * images @ texts.T
        labels = torch.arange(len(rows), device=device)
        contrastive = (functional.cross_entropy(logits, labels) + functional.cross_entropy(logits.T, labels)) / 2
        concepts = functional.binary_cross_entropy_with_logits(
            modules["concepts"](features), renders.concepts[rows].to(device)
        )
        styles = functional.cross_entropy(modules["styles"](features), renders.styles[rows].to(device))
        return contrastive + 20 * concepts + 0.5 * styles

    train_part("judge", modules, loss_of_step, work=work, steps=recipe["steps"], lr=recipe["lr"], ema=0.998, say=say)
    return modules.eval().requires_grad_(False)
