"""The judge's training: contrastive on captions, with heads for concepts and styles."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL
from open_clip.model import CLIP
from torch import nn
from torch.nn import functional
from transformers import CLIPTokenizer

from .networks import judge_config
from .train_data import STYLE_NAMES, Renders, save_npy
from .train_loop import train_part


def new_judge(table: torch.Tensor, settings: Mapping[str, Any], concepts: int) -> nn.ModuleDict:
    """An open_clip CLIP over the frozen token table, and linear heads on its image embedding."""
    clip = CLIP(**judge_config(settings, table.shape[1]), quick_gelu=False)
    clip.token_embedding.weight.data.copy_(table)
    clip.token_embedding.weight.requires_grad_(False)
    width = settings["embedding"]
    heads = {"concepts": nn.Linear(width, concepts), "styles": nn.Linear(width, len(STYLE_NAMES))}
    return nn.ModuleDict({"clip": clip, **heads})


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
    modules = new_judge(table, recipe, len(renders.names)).to(device)
    clip: CLIP = modules["clip"]
    decoded_file = work / "decoded.npy"
    if not decoded_file.exists():
        say("judge: decoding its share of images from latents")
        save_npy(decoded_file, decode(vae, latents[: recipe["decoded_images"]], device))
    decoded = np.load(decoded_file)
    from_latents, captioned = round(recipe["batch"] * recipe["through_vae"]), recipe["captioned"]
    positive = torch.tensor(recipe["positive_weight"], device=device)

    def loss_of_step(step: int) -> torch.Tensor:
        rng = np.random.default_rng((seed, 2, step))
        rows = rng.integers(len(renders.images), size=recipe["batch"])
        rows[:from_latents] %= len(decoded)
        passed = torch.from_numpy(decoded[rows[:from_latents]]).permute(0, 3, 1, 2).float() / 127.5 - 1
        pixels = torch.cat([passed, renders.pixels(rows[from_latents:])])
        # Images shift by up to 4 pixels, so that the judge never learns where exactly an edge lies.
        dx, dy = rng.integers(0, 9, 2)
        pixels = functional.pad(pixels, (4, 4, 4, 4), mode="replicate")[..., dy : dy + 64, dx : dx + 64].to(device)
        with torch.autocast(torch.device(device).type, torch.bfloat16):
            features = clip.encode_image(pixels, normalize=False).float()
        # Captions for the last images only: the heads need none, and text costs as much as images.
        texts = renders.captions(rows[-captioned:], rng)
        tokens = tokenizer(texts, padding="max_length", max_length=77, truncation=True, return_tensors="pt").input_ids
        written = clip.encode_text(tokens.to(device), normalize=True)
        seen = functional.normalize(features[-captioned:], dim=-1)
        logits = clip.logit_scale.exp().clamp(max=100) * seen @ written.T
        labels = torch.arange(captioned, device=device)
        contrastive = (functional.cross_entropy(logits, labels) + functional.cross_entropy(logits.T, labels)) / 2
        concepts = functional.binary_cross_entropy_with_logits(
            modules["concepts"](features), renders.concepts[rows].to(device), pos_weight=positive
        )
        styles = functional.cross_entropy(modules["styles"](features), renders.styles[rows].to(device))
        return contrastive + recipe["concept_weight"] * concepts + recipe["style_weight"] * styles

    train_part("judge", modules, loss_of_step, work=work, steps=recipe["steps"], lr=recipe["lr"], ema=0.998, say=say)
    return modules.eval().requires_grad_(False)


@torch.no_grad()
def decode(vae: AutoencoderKL, latents: torch.Tensor, device: str, batch: int = 64) -> np.ndarray:
    """Images of slightly noisy latents, uint8 of shape (count, 64, 64, 3): they look as samples do."""
    generator = torch.Generator().manual_seed(0)
    parts = []
    for start in range(0, len(latents), batch):
        z = latents[start : start + batch]
        amount = 0.15 * torch.rand((len(z), 1, 1, 1), generator=generator)
        z = z + amount * torch.randn(z.shape, generator=generator)
        with torch.autocast(torch.device(device).type, torch.bfloat16):
            image = vae.decode(z.to(device)).sample
        parts.append(((image.float().clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).cpu().numpy())
    return np.concatenate(parts)
