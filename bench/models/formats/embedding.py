"""A textual inversion: vectors of somebody's own in the place of tokens' (Gal et al., arXiv 2208.01618)."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file

from ...errors import BenchError
from ..text_to_image import TextToImage


def read_embedding(file: Path) -> torch.Tensor:
    """Its vectors, float32 on the CPU, of shape (tokens, width)."""
    (vectors,) = load_file(file).values()
    return vectors.float().reshape(-1, vectors.shape[-1])


def check_embedding(vectors: torch.Tensor, base: TextToImage) -> None:
    """Refuse vectors that the base's text encoder can't read.

    Raises:
        BenchError: the base has two text encoders, theirs have another width, they are too many, or one is not finite.
    """
    count, width = vectors.shape
    if len(base.texts.networks) > 1:
        raise BenchError(f"it is for one text encoder, and {base.name} has {len(base.texts.networks)}.")
    own = base.text_encoder.get_input_embeddings().weight.shape[1]
    if width != own:
        raise BenchError(f"its vectors have {width} numbers, and those of tokens in the base {own}: another model's.")
    if count > (most := base.positions - 2):
        raise BenchError(f"it has {count} vectors, and a text of the base {most} at most.")
    if not torch.isfinite(vectors).all():
        raise BenchError("it has values that are not finite: the file is damaged, or its training failed.")
