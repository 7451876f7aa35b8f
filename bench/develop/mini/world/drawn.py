"""The world of today's weights: 45 concepts, all drawn by code."""

import numpy as np

from .concepts import COLOURS, CONCEPTS
from .dataset import World
from .places import BACKGROUNDS
from .scenes import Scene, Thing
from .styles import STYLES

THINGS = tuple(name for name, entry in CONCEPTS.items() if entry.kind != "place" and name != "nudity")
PLACES = tuple(name for name, entry in CONCEPTS.items() if entry.kind == "place")
NUDITY_SHARE, PLACE_SHARE, PAIR_SHARE = 0.06, 0.09, 0.12
STYLE_SHARE = 0.32


def _colour(name: str, rng: np.random.Generator) -> str | None:
    usual = CONCEPTS[name].usual
    if usual is None or rng.random() < 0.5:
        return usual
    return str(rng.choice(list(COLOURS)))


def sample_scene(rng: np.random.Generator) -> Scene:
    """A random scene: one thing in most, two in some, a place alone or nudity in a few."""
    style = str(rng.choice(list(STYLES))) if rng.random() < STYLE_SHARE else None
    kind = rng.random()
    names: tuple[str, ...]
    if kind < PLACE_SHARE:
        return Scene((), str(rng.choice(PLACES)), style, int(rng.integers(2**31)))
    if kind < PLACE_SHARE + NUDITY_SHARE:
        names = ("nudity",)
    elif kind < PLACE_SHARE + NUDITY_SHARE + PAIR_SHARE:
        names = tuple(str(name) for name in rng.choice(THINGS, 2, replace=False))
    else:
        names = (str(rng.choice(THINGS)),)
    if rng.random() < 0.55 or (len(names) == 2 and rng.random() < 0.5):
        background = "plain"
    else:
        background = str(rng.choice([*BACKGROUNDS, *PLACES]))
    things = tuple(Thing(name, _colour(name, rng)) for name in names)
    return Scene(things, background, style, int(rng.integers(2**31)))


DRAWN = World(CONCEPTS, sample_scene)
