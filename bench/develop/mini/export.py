"""Write the trained parts as the package's weights: a diffusers folder and an open_clip folder, in half precision.

The judge's text tower shares the pipeline's frozen token table; it is stored once, with the pipeline.
"""

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
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


@contextmanager
def replacing(destination: Path) -> Iterator[Path]:
    """A folder to write into, which then takes the place of `destination` as a whole."""
    staging = destination.with_name(destination.name + ".new")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    yield staging
    shutil.rmtree(destination, ignore_errors=True)
    staging.rename(destination)


def write_pipeline(folder: Path, tokenizer_folder: Path, vae: AutoencoderKL, denoiser: nn.ModuleDict) -> None:
    """Write the diffusers folder."""
    pipeline = assemble(vae, denoiser["text_encoder"], denoiser["unet"], tokenizer_folder)
    pipeline.to(torch.float16).save_pretrained(folder, safe_serialization=True)
    pipeline.to(torch.float32)
    # The vocabulary and merges alone load as well and are a third of tokenizer.json's size.
    shutil.rmtree(folder / "tokenizer")
    shutil.copytree(tokenizer_folder, folder / "tokenizer")


def write_judge(folder: Path, judge: nn.ModuleDict, config: dict[str, Any], concepts: Sequence[str]) -> None:
    """Write the judge; `config` is open_clip's."""
    folder.mkdir()
    weights = _half(judge["clip"].state_dict())
    del weights[SHARED_TABLE]
    save_file(weights, folder / "open_clip_model.safetensors")
    _write_heads(folder, judge, concepts)
    preprocess = {"mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic", "resize_mode": "squash"}
    whole = {"model_cfg": config, "preprocess_cfg": preprocess}
    (folder / "open_clip_config.json").write_text(json.dumps(whole, indent=2) + "\n", encoding="utf-8")


def write_second_judge(folder: Path, judge: nn.ModuleDict, recipe: Mapping[str, Any], concepts: Sequence[str]) -> None:
    """Write the second judge; `recipe` has its network's configuration."""
    folder.mkdir()
    save_file(_half(judge["network"].state_dict()), folder / "convnext.safetensors")
    _write_heads(folder, judge, concepts)
    config = {key: recipe[key] for key in ("depths", "dims", "patch_size")}
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def _write_heads(folder: Path, judge: nn.ModuleDict, concepts: Sequence[str]) -> None:
    weights = {f"{head}.{k}": v for head in ("concepts", "styles") for k, v in judge[head].state_dict().items()}
    save_file(_half(weights), folder / "heads.safetensors")
    labels = {"concepts": list(concepts), "styles": STYLE_NAMES}
    (folder / "labels.json").write_text(json.dumps(labels, indent=2) + "\n", encoding="utf-8")
