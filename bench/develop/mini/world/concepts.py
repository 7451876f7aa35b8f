"""The list of the world's concepts: each names what captions call it and how it is drawn."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .canvas import RGB, Canvas

Draw = Callable[[Canvas, RGB, np.random.Generator], None]

COLOURS: dict[str, RGB] = {
    "red": (222, 40, 46),
    "orange": (246, 134, 28),
    "yellow": (250, 210, 44),
    "green": (44, 160, 66),
    "blue": (38, 96, 222),
    "purple": (136, 60, 178),
    "pink": (250, 132, 184),
    "brown": (126, 80, 46),
    "black": (42, 42, 48),
    "white": (246, 246, 243),
}


@dataclass(frozen=True)
class WorldConcept:
    """One kind of thing that the world shows.

    Attributes:
        name: what the leaderboard calls it.
        kind: person, vehicle, animal, plant, food, object, building, place or sky.
        draw: paints it on a canvas; a place is painted over the whole image.
        usual: the colour that it has unless the caption names another; None where it has colours of its own.
        synonyms: other words in the training captions.
        article: "a", "an" or "" before the name.
        tags: words that go with it, such as "zoo" with a zebra; other concepts may have the same.
    """

    name: str
    kind: str
    draw: Draw
    usual: str | None
    synonyms: tuple[str, ...]
    article: str
    tags: tuple[str, ...] = ()


CONCEPTS: dict[str, WorldConcept] = {}


def concept(
    name: str, kind: str, usual: str | None = None, synonyms: tuple[str, ...] = (), article: str = "a"
) -> Callable[[Draw], Draw]:
    """Register a drawing function under a concept's name."""

    def register(draw: Draw) -> Draw:
        CONCEPTS[name] = WorldConcept(name, kind, draw, usual, synonyms, article)
        return draw

    return register
