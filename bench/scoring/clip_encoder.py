"""What open_clip models have in common: images and texts in one space."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any

import numpy as np
import torch
from PIL import Image

from ..images.files import ahead
from ..models.clip_tokens import count_truncated


class ClipEncoder:
    """An open_clip model with its preprocessing and tokenizer, on a device."""

    device: str
    _model: Any
    _preprocess: Any
    _tokenize: Any

    @torch.no_grad()
    def image_features(self, images: Sequence[np.ndarray], batch_size: int = 64) -> np.ndarray:
        """Image embeddings before normalisation, float32 of shape (images, width), from uint8 RGB arrays."""
        parts = []
        prepared = ahead(lambda image: self._preprocess(Image.fromarray(image)), images)
        while batch := list(islice(prepared, batch_size)):
            parts.append(self._model.encode_image(torch.stack(batch).to(self.device)).float().cpu().numpy())
        return np.concatenate(parts)

    @torch.no_grad()
    def text_features(self, texts: Sequence[str], batch_size: int = 64) -> np.ndarray:
        """Text embeddings of length 1, float32 of shape (texts, width)."""
        parts = []
        for start in range(0, len(texts), batch_size):
            tokens = self._tokenize(list(texts[start : start + batch_size])).to(self.device)
            parts.append(self._model.encode_text(tokens, normalize=True).float().cpu().numpy())
        return np.concatenate(parts)

    def truncated(self, texts: Sequence[str]) -> int:
        """How many texts are longer than the text encoder's context."""
        return count_truncated(self._tokenize, texts)
