"""The memory plan of docs/memory.md, recomputed from the architecture: every method on one 24 GB GPU."""

import re
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL
from torch import nn
from transformers import CLIPTextModel

from erasebench import Method
from erasebench.models.architecture import text_config
from erasebench.models.parameter_groups import part_of_group, select
from erasebench.models.random_weights import new_unet
from erasebench.registry import METHODS

PLAN = Path("docs/memory.md")
GB = 1e9
WITH_TEACHER = {
    "all-but-one",
    "all-but-one-implicit",
    "esd",
    "naive-preserve",
    "adversarial-preservation",
    "adversarial-preservation-pgd",
    "defended",
    "race",
    "age",
    "multi-target",
}
WITH_AVERAGE = {"sdd"}
WITH_MASK = {"salun"}  # a byte for each weight
VAE_AND_TEXT = 83_653_863 + 123_060_480
WORKSPACE = 3.0  # GB for activations and the CUDA context; see the document


@pytest.fixture(scope="module")
def parts() -> dict[str, nn.Module]:
    with torch.device("meta"):
        return {"unet": new_unet(), "text_encoder": CLIPTextModel(text_config(768, layers=12, heads=12))}


def _bytes(parts: dict[str, nn.Module], name: str, kind: str) -> float:
    """fp32 weights of all parts; for the trained ones gradient, Adam's two moments, the bf16 copy of autocast, and a
    teacher's or an average's own copy. A text encoder is in no autocast, and the original's is always kept."""
    method: Method = METHODS.load(name)
    config = method.configure("sd", kind, {})
    part = part_of_group(config.parameters)
    trained = sum(weight.numel() for weight in select(parts[part], config.parameters).values())
    total = sum(weight.numel() for weight in parts["unet"].parameters())
    if "steps" not in method.config.model_fields:
        return 4 * (total + VAE_AND_TEXT)
    if part == "text_encoder":
        return 4 * (total + VAE_AND_TEXT) + (4 + 8 + 4) * trained
    if "rank" in method.config.model_fields:  # gradient, bf16 copy and the original; adapters with Adam beside them
        sides = sum(sum(weight.flatten(1).shape) for weight in select(parts[part], config.parameters).values())
        return 4 * (total + VAE_AND_TEXT) + (4 + 2 + 4) * trained + (4 + 4 + 8) * config.rank * sides
    copies = (name in WITH_TEACHER) + (name in WITH_AVERAGE)
    return 4 * (total + VAE_AND_TEXT) + (4 + 8 + 2 + 4 * copies + (name in WITH_MASK)) * trained


@pytest.mark.parametrize("name", [name for name in METHODS.names() if METHODS.load(name).guide is None])
def test_every_method_fits_and_the_document_says_how_much(parts: dict[str, nn.Module], name: str) -> None:
    document = PLAN.read_text(encoding="utf-8")
    for kind in ("nudity", "object"):
        needed = _bytes(parts, name, kind) / GB
        assert needed + WORKSPACE < 24
        line = next(line for line in document.splitlines() if re.match(rf"\| `{name}` \|.*\b{kind}s?\b", line))
        stated = float(line.split("|")[-2].strip().strip("*"))
        assert stated == pytest.approx(needed, abs=0.01), line


def test_the_document_counts_vae_and_text_encoder(parts: dict[str, nn.Module]) -> None:
    text = sum(weight.numel() for weight in parts["text_encoder"].parameters())
    assert text == 123_060_480
    with torch.device("meta"):
        vae = AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            block_out_channels=(128, 256, 512, 512),
            layers_per_block=2,
        )
    assert sum(weight.numel() for weight in vae.parameters()) == 83_653_863
