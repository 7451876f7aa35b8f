"""Images beside what the original model draws from the same seed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .files import Unreadable, read_image

if TYPE_CHECKING:
    from .image_set import ImageSet

Pair = tuple[np.ndarray, np.ndarray]


def pairs(images: ImageSet, original: ImageSet) -> Iterator[Pair | str]:
    """Each image and its original of the same prompt and noise, as `pair` gives them."""
    return map(pair, images.files, images.partners(original))


def pair(mine: Path, original: Path) -> Pair | str:
    """An image and the one that it is compared with, uint8 RGB of one shape; or why they are no pair."""
    a, b = read_image(mine), read_image(original)
    if isinstance(a, Unreadable):
        return str(a)
    if isinstance(b, Unreadable):
        return f"the original's {b}"
    if a.shape != b.shape:
        return f"{mine.name}: {a.shape[1]}×{a.shape[0]} pixels, the original's {b.shape[1]}×{b.shape[0]}"
    return a, b
