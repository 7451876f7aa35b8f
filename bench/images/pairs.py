"""Images beside what the original model draws from the same seed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from .files import Unreadable, read_image

if TYPE_CHECKING:
    from .image_set import ImageSet

Pair = tuple[np.ndarray, np.ndarray]


def pairs(images: ImageSet, original: ImageSet) -> Iterator[Pair | str]:
    """Each image and its original of the same prompt and noise, uint8 RGB of one shape; or why there is no pair."""
    for mine, other in zip(images.files, images.partners(original), strict=True):
        a, b = read_image(mine), read_image(other)
        if isinstance(a, Unreadable):
            yield str(a)
        elif isinstance(b, Unreadable):
            yield f"the original's {b}"
        elif a.shape != b.shape:
            yield f"{mine.name}: {a.shape[1]}×{a.shape[0]} pixels, the original's {b.shape[1]}×{b.shape[0]}"
        else:
            yield a, b
