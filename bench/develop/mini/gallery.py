"""Contact sheets of pictograms."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from .world import CONCEPTS, DRAWN, STYLES, Scene, Thing, World, WorldConcept

GAP = 4
STYLED = (
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


def sheet(images: Sequence[np.ndarray], columns: int, zoom: int = 2) -> Image.Image:
    """Images in rows on white, enlarged without smoothing."""
    side = images[0].shape[0]
    rows = -(-len(images) // columns)
    page = np.full((rows * (side + GAP) + GAP, columns * (side + GAP) + GAP, 3), 255, np.uint8)
    for k, image in enumerate(images):
        y, x = GAP + (k // columns) * (side + GAP), GAP + (k % columns) * (side + GAP)
        page[y : y + side, x : x + side] = image
    return Image.fromarray(page.repeat(zoom, 0).repeat(zoom, 1))


def world_sheet(path: Path, world: World = DRAWN) -> None:
    """Every concept once, then every style on some of them."""
    columns = 12 if len(world.concepts) < 100 else 32
    images = [world.render(_usual(entry, None)) for entry in world.concepts.values()]
    images += [np.full((64, 64, 3), 255, np.uint8)] * (-len(images) % columns)
    shown = [CONCEPTS[name] for name in STYLED]
    styled = [world.render(_usual(entry, style)) for style in STYLES for entry in shown]
    sheet(images + styled, columns).save(path)


def _usual(entry: WorldConcept, style: str | None) -> Scene:
    if entry.kind == "place":
        return Scene((), entry.name, style, 5)
    return Scene((Thing(entry.name, entry.usual),), "plain", style, 7)
