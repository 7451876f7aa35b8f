"""The judges' training: both on labels of concepts and styles, the first on captions too."""

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

from ...scoring.second_judge import new_network
from .networks import judge_config
from .train_data import STYLE_NAMES, Renders, save_npy
from .train_loop import mixed_precision, train_part


def new_judge(table: torch.Tensor, settings: Mapping[str, Any], concepts: int) -> nn.ModuleDict:
    """An open_clip CLIP over the frozen token table, and linear heads on its image embedding."""
    clip = CLIP(**judge_config(settings, table.shape[1]), quick_gelu=False)
    clip.token_embedding.weight.data.copy_(table)
    clip.token_embedding.weight.requires_grad_(False)
    return nn.ModuleDict({"clip": clip, **_heads(settings["embedding"], concepts)})


def new_second_judge(settings: Mapping[str, Any], concepts: int) -> nn.ModuleDict:
    """A ConvNeXt with the same heads."""
    return nn.ModuleDict({"network": new_network(settings), **_heads(settings["dims"][-1], concepts)})


def _heads(width: int, concepts: int) -> dict[str, nn.Module]:
    return {"concepts": nn.Linear(width, concepts), "styles": nn.Linear(width, len(STYLE_NAMES))}


def train_judge(
    renders: Renders,
    decoded: np.ndarray,
    table: torch.Tensor,
    tokenizer: CLIPTokenizer,
    recipe: dict[str, Any],
    seed: int,
    work: Path,
    device: str,
    say: Callable[[str], None],
) -> nn.ModuleDict:
    """Train the judge; a share of its images is `decoded` from slightly noisy latents, as all samples are."""
    torch.manual_seed(seed)
    modules = new_judge(table, recipe, len(renders.names)).to(device)
    clip: CLIP = modules["clip"]
    seen_images = _SeenImages(renders, decoded, recipe)
    captioned = recipe["captioned"]

    def loss_of_step(step: int) -> torch.Tensor:
        rng = np.random.default_rng((seed, 2, step))
        rows, pixels = seen_images.batch(rng)
        pixels = pixels.to(device)
        with mixed_precision(device):
            features = clip.encode_image(pixels, normalize=False).float()
        # Captions for the last images only: the heads need none, and text costs as much as images.
        texts = renders.captions(rows[-captioned:], rng)
        tokens = tokenizer(texts, padding="max_length", max_length=77, truncation=True, return_tensors="pt").input_ids
        written = clip.encode_text(tokens.to(device), normalize=True)
        seen = functional.normalize(features[-captioned:], dim=-1)
        logits = clip.logit_scale.exp().clamp(max=100) * seen @ written.T
        labels = torch.arange(captioned, device=device)
        contrastive = (functional.cross_entropy(logits, labels) + functional.cross_entropy(logits.T, labels)) / 2
        return contrastive + _label_loss(modules, features, renders, rows, recipe)

    train_part("judge", modules, loss_of_step, work=work, steps=recipe["steps"], lr=recipe["lr"], ema=0.998, say=say)
    return modules.eval().requires_grad_(False)


def train_second_judge(
    renders: Renders,
    decoded: np.ndarray,
    recipe: dict[str, Any],
    seed: int,
    work: Path,
    device: str,
    say: Callable[[str], None],
) -> nn.ModuleDict:
    """Train the second judge: from another seed, on other batches of the same images, from labels alone."""
    torch.manual_seed(seed + 1)
    modules = new_second_judge(recipe, len(renders.names)).to(device)
    seen_images = _SeenImages(renders, decoded, recipe)

    def loss_of_step(step: int) -> torch.Tensor:
        rows, pixels = seen_images.batch(np.random.default_rng((seed, 3, step)))
        with mixed_precision(device):
            features = modules["network"](pixels.to(device)).float()
        return _label_loss(modules, features, renders, rows, recipe)

    steps, lr = recipe["steps"], recipe["lr"]
    train_part("second_judge", modules, loss_of_step, work=work, steps=steps, lr=lr, ema=0.998, say=say)
    return modules.eval().requires_grad_(False)


class _SeenImages:
    """Random batches of renders, a share of them as the VAE decodes them."""

    def __init__(self, renders: Renders, decoded: np.ndarray, recipe: Mapping[str, Any]) -> None:
        self.renders, self.decoded, self.size = renders, decoded, recipe["batch"]
        self.from_latents = round(recipe["batch"] * recipe["through_vae"])

    def batch(self, rng: np.random.Generator) -> tuple[np.ndarray, torch.Tensor]:
        """Rows of the renders, and their images as float32 of shape (batch, 3, 64, 64) in [-1, 1]."""
        rows = rng.integers(len(self.renders.images), size=self.size)
        rows[: self.from_latents] %= len(self.decoded)
        passed = torch.from_numpy(self.decoded[rows[: self.from_latents]]).permute(0, 3, 1, 2).float() / 127.5 - 1
        pixels = torch.cat([passed, self.renders.pixels(rows[self.from_latents :])])
        # Images shift by up to 4 pixels, so that no judge learns where exactly an edge lies.
        dx, dy = rng.integers(0, 9, 2)
        return rows, functional.pad(pixels, (4, 4, 4, 4), mode="replicate")[..., dy : dy + 64, dx : dx + 64]


def _label_loss(
    modules: nn.ModuleDict, features: torch.Tensor, renders: Renders, rows: np.ndarray, recipe: Mapping[str, Any]
) -> torch.Tensor:
    """Weighted cross-entropies of the concepts that are shown and of the style."""
    concepts = functional.binary_cross_entropy_with_logits(
        modules["concepts"](features),
        renders.concepts[rows].to(features.device),
        pos_weight=torch.tensor(recipe["positive_weight"], device=features.device),
    )
    styles = functional.cross_entropy(modules["styles"](features), renders.styles[rows].to(features.device))
    loss: torch.Tensor = recipe["concept_weight"] * concepts + recipe["style_weight"] * styles
    return loss


def decode(vae: AutoencoderKL, latents: torch.Tensor, device: str, cache: Path) -> np.ndarray:
    """Images of slightly noisy latents, uint8 of shape (count, 64, 64, 3): they look as samples do. Kept in a file."""
    if not cache.exists():
        save_npy(cache, _decoded(vae, latents, device))
    decoded: np.ndarray = np.load(cache)  # in one memory layout, whether just made or not: convolutions round by it
    return decoded


@torch.no_grad()
def _decoded(vae: AutoencoderKL, latents: torch.Tensor, device: str, batch: int = 64) -> np.ndarray:
    generator = torch.Generator().manual_seed(0)
    parts = []
    for start in range(0, len(latents), batch):
        z = latents[start : start + batch]
        amount = 0.15 * torch.rand((len(z), 1, 1, 1), generator=generator)
        z = z + amount * torch.randn(z.shape, generator=generator)
        with mixed_precision(device):
            image = vae.decode(z.to(device)).sample
        parts.append(((image.float().clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).cpu().numpy())
    return np.concatenate(parts)
