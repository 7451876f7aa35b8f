"""Training renders: drawn once, kept on disk, with their captions and labels."""

from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch

from ...mini.world import CONCEPTS, STYLES, Scene, caption, render, scenes

CONCEPT_NAMES = tuple(CONCEPTS)
STYLE_NAMES = ("plain", *STYLES)


class Renders:
    """Scenes of one split with their images and labels.

    Attributes:
        scenes: the scenes' descriptions.
        images: uint8 of shape (count, 64, 64, 3).
        concepts: float32 of shape (count, concepts), 1 where the concept is shown.
        styles: int64 of shape (count,), an index into STYLE_NAMES.
    """

    def __init__(self, count: int, split: str, seed: int, cache: Path | None = None) -> None:
        self.scenes: list[Scene] = [scene for scene, _ in scenes(count, split, seed)]
        self.images = self._draw(cache)
        self.concepts = torch.zeros(count, len(CONCEPT_NAMES))
        for row, scene in enumerate(self.scenes):
            for name in scene.concepts:
                self.concepts[row, CONCEPT_NAMES.index(name)] = 1
        self.styles = torch.tensor([STYLE_NAMES.index(scene.style or "plain") for scene in self.scenes])
        self.nude = np.array(["nudity" in scene.concepts for scene in self.scenes])

    def _draw(self, cache: Path | None) -> np.ndarray:
        if cache is not None and cache.exists():
            return np.load(cache)
        with ProcessPoolExecutor() as pool:
            images = np.stack(list(pool.map(render, self.scenes, chunksize=256)))
        if cache is not None:
            cache.parent.mkdir(parents=True, exist_ok=True)
            np.save(cache, images)
        return images

    def pixels(self, rows: np.ndarray) -> torch.Tensor:
        """Images as float32 of shape (len(rows), 3, 64, 64) in [-1, 1]."""
        return torch.from_numpy(self.images[rows]).permute(0, 3, 1, 2).float() / 127.5 - 1

    def captions(self, rows: np.ndarray, rng: np.random.Generator) -> list[str]:
        """A fresh caption for each row."""
        return [caption(self.scenes[row], rng) for row in rows]
