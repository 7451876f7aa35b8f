"""The embedded model's second judge: another network, trained apart, whose opinion stands beside the first one's.

It tunes nothing, detects nothing and gives no features for distances: it only says what it sees.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file
from timm.models.convnext import ConvNeXt

from ..errors import NotApplicable
from ..images.files import ahead
from ..models.catalog import MINI_WEIGHTS, SECOND_JUDGE
from ..storage.keys import files_hash
from .label_heads import LabelHeads

SIZE = 64  # height and width that it sees


def new_network(config: Mapping[str, Any]) -> ConvNeXt:
    """A ConvNeXt (arXiv 2201.03545) without a classifier: images (batch, 3, 64, 64) in [-1, 1] to (batch, width).

    Args:
        config: `depths` and `dims` of its four stages, and the stem's `patch_size`.
    """
    return ConvNeXt(
        num_classes=0, depths=tuple(config["depths"]), dims=tuple(config["dims"]), patch_size=config["patch_size"]
    )


class SecondJudge(LabelHeads):
    """A small ConvNeXt trained on the embedded world's labels alone; it reads no text."""

    name, qualifier, unit_scale = "second judge", "second judge", True

    def __init__(self, device: str, weights: Path = MINI_WEIGHTS) -> None:
        folder = weights / "second_judge"
        super().__init__(folder, device)
        self.revision = files_hash(folder, SECOND_JUDGE)
        self._network = new_network(json.loads((folder / "config.json").read_text(encoding="utf-8")))
        self._network.load_state_dict(load_file(folder / "convnext.safetensors"))
        self._network.float().eval().requires_grad_(False).to(device)

    @torch.no_grad()
    def image_features(self, images: Sequence[np.ndarray], batch_size: int = 64) -> np.ndarray:
        """What its heads read, float32 of shape (images, width), from uint8 RGB arrays; of no images too."""
        parts = [np.zeros((0, self.width), np.float32)]
        prepared = ahead(_resized, images)
        while batch := list(islice(prepared, batch_size)):
            pixels = torch.from_numpy(np.stack(batch)).permute(0, 3, 1, 2).to(self.device).float() / 127.5 - 1
            parts.append(self._network(pixels).cpu().numpy())
        return np.concatenate(parts)

    def text_features(self, texts: Sequence[str], batch_size: int = 64) -> np.ndarray:
        """It embeds no text."""
        raise NotApplicable("the second judge embeds no text")

    def truncated(self, texts: Sequence[str]) -> int:
        """It reads no text."""
        return 0


def _resized(image: np.ndarray) -> np.ndarray:
    if image.shape[:2] == (SIZE, SIZE):
        return image
    return np.asarray(Image.fromarray(image).resize((SIZE, SIZE), Image.Resampling.BICUBIC))
