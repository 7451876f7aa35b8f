"""Write the trained parts as the package's weights: a diffusers folder and an open_clip folder, in half precision.

The judge's text tower shares the pipeline's frozen token table; it is stored once, with the pipeline.
"""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL
from safetensors.torch import save_file
from torch import nn

from ...models.architecture import assemble
from .train_data import STYLE_NAMES

SHARED_TABLE = "token_embedding.weight"


def _half(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: value.half().contiguous().cpu() for name, value in weights.items() if value.is_floating_point()}


def export(
    destination: Path,
    tokenizer_folder: Path,
    vae: AutoencoderKL,
    denoiser: nn.ModuleDict,
    judge: nn.ModuleDict,
    config: dict[str, Any],
    concepts: Sequence[str],
) -> None:
    """Replace `destination` by the folders `pipeline` and `judge`; `config` is open_clip's of the judge."""
    staging = destination.with_name(destination.name + ".new")
    shutil.rmtree(staging, ignore_errors=True)
    pipeline = assemble(vae, denoiser["text_encoder"], denoiser["unet"], tokenizer_folder)
    pipeline.to(torch.float16).save_pretrained(staging / "pipeline", safe_serialization=True)
    pipeline.to(torch.float32)
    # The vocabulary and merges alone load as well and are a third of tokenizer.json's size.
    shutil.rmtree(staging / "pipeline" / "tokenizer")
    shutil.copytree(tokenizer_folder, staging / "pipeline" / "tokenizer")
    folder = staging / "judge"
    folder.mkdir()
    weights = _half(judge["clip"].state_dict())
    del weights[SHARED_TABLE]
    save_file(weights, folder / "open_clip_model.safetensors")
    save_file(
        _half({f"{head}.{k}": v for head in ("concepts", "styles") for k, v in judge[head].state_dict().items()}),
        folder / "heads.safetensors",
    )
    preprocess = {"mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic", "resize_mode": "squash"}
    whole = {"model_cfg": config, "preprocess_cfg": preprocess}
    (folder / "open_clip_config.json").write_text(json.dumps(whole, indent=2) + "\n", encoding="utf-8")
    labels = {"concepts": list(concepts), "styles": STYLE_NAMES}
    (folder / "labels.json").write_text(json.dumps(labels, indent=2) + "\n", encoding="utf-8")
    shutil.rmtree(destination, ignore_errors=True)
    staging.rename(destination)
