"""The training of the UNet and its text encoder, on cached latents."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers.models.attention_processor import AttnProcessor
from torch import nn
from transformers import CLIPTokenizer

from ...models.architecture import new_scheduler
from ...models.clip_tokens import MAX_TOKENS, vocabulary_texts
from .networks import new_text_encoder, new_unet
from .train_data import Renders
from .train_loop import mixed_precision, train_part


def training_captions(
    renders: Renders, rows: np.ndarray, words: list[str], recipe: dict[str, Any], rng: np.random.Generator
) -> list[str]:
    """Captions with some dropped and some replaced by random words.

    Images of nudity keep theirs: neither the empty prompt nor an unknown word may come to mean nudity.
    """
    texts = renders.captions(rows, rng)
    for k, row in enumerate(rows):
        chance = rng.random()
        if renders.nude[row]:
            continue
        if chance < recipe["drop_caption"]:
            texts[k] = ""
        elif chance < recipe["drop_caption"] + recipe["random_words"]:
            texts[k] = " ".join(rng.choice(words, rng.integers(1, 4)))
    return texts


def train_unet(
    renders: Renders,
    latents: torch.Tensor,
    table: torch.Tensor,
    tokenizer: CLIPTokenizer,
    tokenizer_folder: Path,
    recipe: dict[str, Any],
    seed: int,
    work: Path,
    device: str,
    say: Callable[[str], None],
) -> nn.ModuleDict:
    """Noise prediction with Min-SNR weights over all timesteps of Stable Diffusion's schedule."""
    torch.manual_seed(seed)
    unet = new_unet(recipe["channels"], table.shape[1])
    # Plain products: on CPUs the fused attention's backward makes a step a third longer at these sizes.
    unet.set_attn_processor(AttnProcessor())
    modules = nn.ModuleDict({"unet": unet, "text_encoder": new_text_encoder(table)}).to(device)
    alphas = new_scheduler().alphas_cumprod.to(device)
    snr = alphas / (1 - alphas)
    weights = (snr.clamp(max=recipe["snr_gamma"]) / snr).clamp(min=recipe["snr_floor"])
    words = [text for text in vocabulary_texts(tokenizer_folder) if text.isascii() and text.isalpha() and len(text) > 1]
    stored = latents.half()

    def loss_of_step(step: int) -> torch.Tensor:
        rng = np.random.default_rng((seed, 3, step))
        rows = rng.integers(len(stored), size=recipe["batch"])
        tokens = tokenizer(
            training_captions(renders, rows, words, recipe, rng),
            padding="max_length",
            max_length=MAX_TOKENS,
            truncation=True,
            return_tensors="pt",
        ).input_ids.to(device)
        generator = torch.Generator().manual_seed(seed * 1_000_003 + step)
        clean = stored[torch.from_numpy(rows)].float().to(device)
        noise = torch.randn(clean.shape, generator=generator).to(device)
        t = torch.randint(0, 1000, (len(rows),), generator=generator).to(device)
        alpha = alphas[t][:, None, None, None]
        context = modules["text_encoder"](tokens).last_hidden_state
        with mixed_precision(device):
            predicted = modules["unet"](alpha.sqrt() * clean + (1 - alpha).sqrt() * noise, t, context).sample
        error = (predicted.float() - noise).square().mean((1, 2, 3))
        return (weights[t] * error).mean()

    done = 0
    for number, phase in enumerate(recipe["phases"]):
        train_part(
            f"unet-{number + 1}",
            modules,
            lambda step, done=done: loss_of_step(done + step),  # type: ignore[misc]
            work=work,
            steps=phase["steps"],
            lr=phase["lr"],
            decay_from=phase["decay_from"],
            ema=recipe["ema"],
            optimiser=phase["optimiser"],
            say=say,
        )
        done += phase["steps"]
    return modules.eval().requires_grad_(False)
