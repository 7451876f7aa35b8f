"""Seeded samples of the world: training scenes, and held-out ones that training never sees.

A scene's combination of things, colours, background and style decides which split it belongs to: a tenth
of all combinations is held out, so held-out scenes are new in what they combine and not only in their seed.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from .captions import caption
from .concepts import COLOURS, CONCEPTS, WorldConcept
from .places import BACKGROUNDS
from .scenes import Scene, Thing, render
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


@dataclass(frozen=True)
class World:
    """What can be shown and how often.

    Attributes:
        concepts: by name.
        sample: draws a random scene.
    """

    concepts: Mapping[str, WorldConcept]
    sample: Callable[[np.random.Generator], Scene]

    def held_out(self, scene: Scene) -> bool:
        """Whether the scene's combination belongs to the held-out tenth (plain, usual scenes always train)."""
        usual = all(thing.colour == self.concepts[thing.concept].usual for thing in scene.things)
        simple = scene.style is None or scene.background == "plain" or not scene.things
        if usual and len(scene.things) <= 1 and simple:
            return False
        text = repr((scene.things, scene.background, scene.style))
        return hashlib.sha256(text.encode()).digest()[0] % 10 == 0

    def scenes(self, count: int, split: str, seed: int) -> list[tuple[Scene, str]]:
        """`count` scenes of a split ("train" or "held-out") with their captions, the same for the same seed."""
        if split not in ("train", "held-out"):
            raise ValueError(f"split is 'train' or 'held-out', not {split!r}")
        rng = np.random.default_rng((seed, split == "held-out"))
        found: list[tuple[Scene, str]] = []
        while len(found) < count:
            scene = self.sample(rng)
            if self.held_out(scene) == (split == "held-out"):
                found.append((scene, self.caption(scene, rng)))
        return found

    def words(self) -> set[str]:
        """Every word of its concepts' names, synonyms and tags."""
        entries = self.concepts.values()
        return {word for e in entries for text in (e.name, *e.synonyms, *e.tags) for word in text.split()}

    def caption(self, scene: Scene, rng: np.random.Generator) -> str:
        """One English caption of the scene."""
        return caption(scene, rng, self.concepts)

    def render(self, scene: Scene) -> np.ndarray:
        """The scene as uint8 RGB of shape (64, 64, 3)."""
        return render(scene, self.concepts)


DRAWN = World(CONCEPTS, sample_scene)
scenes, held_out = DRAWN.scenes, DRAWN.held_out
