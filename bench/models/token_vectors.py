"""A text encoder that reads vectors of somebody's own in the place of tokens'."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

PLACEHOLDER = "x"  # one token of CLIP's vocabulary, for a vector to stand in its place


@contextmanager
def tokens_replaced(text_encoder: nn.Module, start: int, vectors: torch.Tensor) -> Iterator[None]:
    """Inside the block the encoder reads these vectors in the place of the tokens from `start` on, in every text.

    What ids stand there does not matter then; gradients pass into the vectors.

    Args:
        text_encoder: CLIP's of transformers.
        start: the first position; 0 is the start token's.
        vectors: (positions, width) for all texts, or (texts, positions, width).
    """
    end = start + vectors.shape[-2]

    def put(module: Any, inputs: Any, found: torch.Tensor) -> torch.Tensor:
        own = vectors.to(found.dtype).expand(len(found), -1, -1)
        return torch.cat([found[:, :start], own, found[:, end:]], 1)

    hook = text_encoder.get_input_embeddings().register_forward_hook(put)  # type: ignore[operator]
    try:
        yield
    finally:
        hook.remove()
