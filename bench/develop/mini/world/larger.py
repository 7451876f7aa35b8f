"""The larger world: things drawn by code, people in full figure and icons, under one roof."""

from collections.abc import Iterator
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np
from PIL import Image

from ....mini.kinds import kinds
from .canvas import RGB, Canvas
from .concepts import CONCEPTS, WorldConcept
from .dataset import World
from .drawings.figures import FIGURES, draw_figure
from .icons import icon_things, read_icons, tags
from .sampling import sampler

# Last words of names of what can't be counted, beside plurals.
UNCOUNTABLE = """
bacon bread broccoli butter candy champagne coffee coral corn cream curry custard dna fire fondue food garlic ginger ice
lettuce lightning milk paella paper popcorn rice salad salt soda soup spaghetti stew sushi tea thread wheat whisky wood
yarn yoga bowling lacrosse badminton tennis
"""


def larger_world(archive: Path) -> World:
    """All concepts by name, with the icons of an archive (see `read_icons`)."""
    concepts = {entry.name: entry for entry in chain(CONCEPTS.values(), _figures(), _icons(archive))}
    return World(concepts, sampler(concepts))


def _figures() -> Iterator[WorldConcept]:
    for name, (usual, synonyms, look) in FIGURES.items():
        yield WorldConcept(name, "person", partial(draw_figure, look=look), usual, synonyms, "a")


def _icons(archive: Path) -> Iterator[WorldConcept]:
    for name, picture in read_icons(archive).items():
        _, *synonyms = icon_things()[name]
        kind, own_tags = kinds()[name][0], tuple(tags().get(name, ()))
        yield WorldConcept(name, kind, partial(_paste, picture), None, tuple(synonyms), article(name), own_tags)


def _paste(picture: Image.Image, canvas: Canvas, colour: RGB, rng: np.random.Generator) -> None:
    canvas.paste(picture)


def article(name: str) -> str:
    """What goes before a name: "a", or nothing before plurals and what can't be counted."""
    last = name.partition(" of ")[0].split()[-1]
    plural = last.endswith("s") and not last.endswith(("ss", "us", "ros"))
    return "" if plural or last in UNCOUNTABLE.split() else "a"
