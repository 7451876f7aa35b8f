"""Seeded samples of the world: training scenes, and held-out ones that training never sees.

A scene's combination of things, colours, background and style decides which split it belongs to: a tenth
of all combinations is held out, so held-out scenes are new in what they combine and not only in their seed.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from .captions import caption
from .concepts import WorldConcept
from .scenes import Scene, render


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
