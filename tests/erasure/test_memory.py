"""The memory plan of docs/memory.md, recomputed from the architecture: every method on one 24 GB GPU."""

import re
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL

from erasebench import Method
from erasebench.models.parameter_groups import select
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
}
WITH_AVERAGE = {"sdd"}
VAE_AND_TEXT = 83_653_863 + 123_060_480
WORKSPACE = 3.0  # GB for activations and the CUDA context; see the document


@pytest.fixture(scope="module")
def unet():  # type: ignore[no-untyped-def]
    with torch.device("meta"):
        return new_unet()


def _bytes(unet, name: str, kind: str) -> float:  # type: ignore[no-untyped-def]
    """fp32 weights of all parts; for the trained ones gradient, Adam's two moments, the bf16 copy of autocast, and a
    teacher's or an average's own copy."""
    method: Method = METHODS.load(name)
    config = method.configure("sd", kind, {})
    trained = sum(weight.numel() for weight in select(unet, config.parameters).values())
    total = sum(weight.numel() for weight in unet.parameters())
    if "steps" not in method.config.model_fields:
        return 4 * (total + VAE_AND_TEXT)
    copies = (name in WITH_TEACHER) + (name in WITH_AVERAGE)
    return 4 * (total + VAE_AND_TEXT) + (4 + 8 + 2 + 4 * copies) * trained


@pytest.mark.parametrize("name", [name for name in METHODS.names() if METHODS.load(name).guide is None])
def test_every_method_fits_and_the_document_says_how_much(unet, name: str) -> None:  # type: ignore[no-untyped-def]
    document = PLAN.read_text(encoding="utf-8")
    for kind in ("nudity", "object"):
        needed = _bytes(unet, name, kind) / GB
        assert needed + WORKSPACE < 24
        line = next(line for line in document.splitlines() if re.match(rf"\| `{name}` \|.*\b{kind}s?\b", line))
        stated = float(line.split("|")[-2].strip().strip("*"))
        assert stated == pytest.approx(needed, abs=0.01), line


def test_the_document_counts_vae_and_text_encoder() -> None:
    with torch.device("meta"):
        vae = AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            block_out_channels=(128, 256, 512, 512),
            layers_per_block=2,
        )
    assert sum(weight.numel() for weight in vae.parameters()) == 83_653_863
