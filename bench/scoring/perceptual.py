"""LPIPS's network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from ..errors import NotScored


class Lpips:
    """LPIPS with AlexNet (arXiv 1801.03924) by torchmetrics, on a device.

    Raises:
        NotScored: AlexNet's weights, which torchvision fetches, can't be had.
    """

    def __init__(self, device: str) -> None:
        from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity
        from torchvision.models import AlexNet_Weights

        try:
            self._distance = LearnedPerceptualImagePatchSimilarity(net_type="alex").to(device)
        except (OSError, RuntimeError) as error:
            url = AlexNet_Weights.DEFAULT.url
            place = Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]
            raise NotScored(
                f"LPIPS's AlexNet weights can't be read from {place}, nor fetched from {url} ({error}): fetch that "
                "file on another machine and put it there"
            ) from None
        self._device = device

    @torch.no_grad()
    def __call__(self, a: np.ndarray, b: np.ndarray) -> float:
        """The distance of two uint8 images of shape (height, width, 3), at least 0."""
        sides = (torch.tensor(image).to(self._device).permute(2, 0, 1)[None] / 127.5 - 1 for image in (a, b))
        found = float(self._distance(*sides))
        self._distance.reset()
        return found
