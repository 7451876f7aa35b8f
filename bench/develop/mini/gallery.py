"""Contact sheets of pictograms."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from ...mini.world import CONCEPTS, STYLES, Scene, Thing, render

GAP = 4


def sheet(images: Sequence[np.ndarray], columns: int, zoom: int = 2) -> Image.Image:
    """Images in rows on white, enlarged without smoothing."""
    side = images[0].shape[0]
    rows = -(-len(images) // columns)
    page = np.full((rows * (side + GAP) + GAP, columns * (side + GAP) + GAP, 3), 255, np.uint8)
    for k, image in enumerate(images):
        y, x = GAP + (k // columns) * (side + GAP), GAP + (k % columns) * (side + GAP)
        page[y : y + side, x : x + side] = image
    return Image.fromarray(page.repeat(zoom, 0).repeat(zoom, 1))


def world_sheet(path: Path) -> None:
    """Every concept once, then every style on some of them."""
    images = [render(_usual(name, None)) for name in CONCEPTS]
    images += [np.full((64, 64, 3), 255, np.uint8)] * (-len(images) % 12)
    shown = (
        "cat",
        "dog",
        "woman",
        "nudity",
        "church",
        "house",
        "garbage truck",
        "car",
        "french horn",
        "guitar",
        "tree",
        "beach",
    )
    images += [render(_usual(name, style)) for style in STYLES for name in shown]
    sheet(images, columns=12).save(path)


def _usual(name: str, style: str | None) -> Scene:
    entry = CONCEPTS[name]
    if entry.kind == "place":
        return Scene((), name, style, 5)
    return Scene((Thing(name, entry.usual),), "plain", style, 7)
