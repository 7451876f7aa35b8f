"""What one image of the world shows, and how it is rendered."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from PIL import Image

from .canvas import RGB, SIZE, SUPERSAMPLING, Canvas, downsample
from .concepts import COLOURS, CONCEPTS, WorldConcept
from .places import BACKGROUNDS
from .styles import STYLES

PLACE_COVER = 0.55  # a place has no silhouette: a style shines through it evenly


@dataclass(frozen=True)
class Thing:
    """One concept in a scene; `colour` is None where the concept has colours of its own."""

    concept: str
    colour: str | None


@dataclass(frozen=True)
class Scene:
    """A full description of one image: rendering it is deterministic.

    Attributes:
        things: none (a place alone), one, or two from left to right.
        background: a name in BACKGROUNDS or a concept that is a place.
        style: a name in STYLES, or None for the flat pictogram.
        seed: places the things and varies what captions do not say.
    """

    things: tuple[Thing, ...]
    background: str
    style: str | None
    seed: int

    @property
    def concepts(self) -> tuple[str, ...]:
        """All concepts that the image shows, things first."""
        place = (self.background,) if self.background in CONCEPTS else ()
        return tuple(thing.concept for thing in self.things) + place


def _boxes(count: int, rng: np.random.Generator) -> list[tuple[float, float, float]]:
    if count == 1:
        scale = rng.uniform(0.66, 0.86)
        free = 1 - scale
        return [(free * rng.uniform(0.15, 0.85), free * rng.uniform(0.35, 0.85), scale)]
    boxes = []
    for k in range(count):
        scale = rng.uniform(0.44, 0.49)
        boxes.append((0.5 * k + (0.5 - scale) * rng.uniform(0.1, 0.9), rng.uniform(0.3, 0.46), scale))
    return boxes


def render(scene: Scene, concepts: Mapping[str, WorldConcept] = CONCEPTS) -> np.ndarray:
    """The scene as uint8 RGB of shape (64, 64, 3), its things drawn as `concepts` say."""
    rng = np.random.default_rng(scene.seed)
    ground = Canvas()
    place = CONCEPTS[scene.background].draw if scene.background in CONCEPTS else BACKGROUNDS[scene.background]
    place(ground, (0, 0, 0), rng)
    layer = Image.new("RGBA", (SIZE * SUPERSAMPLING,) * 2, (0, 0, 0, 0))
    for thing, box in zip(scene.things, _boxes(len(scene.things), rng), strict=True):
        canvas = Canvas(*box)
        colour: RGB = COLOURS[thing.colour] if thing.colour else (0, 0, 0)
        concepts[thing.concept].draw(canvas, colour, rng)
        layer = Image.alpha_composite(layer, canvas.outlined())
    flat = downsample(Image.alpha_composite(ground.image, layer))[..., :3]
    if scene.style is None:
        return flat
    mask = downsample(layer)[..., 3] / 255.0 if scene.things else np.full((SIZE, SIZE), PLACE_COVER)
    styled = STYLES[scene.style](flat / 255.0, mask, rng)
    return np.round(255 * np.clip(styled, 0, 1)).astype(np.uint8)
