"""Training renders: drawn once, kept on disk, with their captions and labels."""

from pathlib import Path

import numpy as np
import torch

from ...storage.files import write_atomically
from .world import STYLES, Scene, World

STYLE_NAMES = ("plain", *STYLES)


class Renders:
    """Scenes of one split of a world with their images and labels.

    Attributes:
        names: the world's concepts.
        scenes: the scenes' descriptions.
        images: uint8 of shape (count, 64, 64, 3).
        concepts: float32 of shape (count, concepts), 1 where the concept is shown.
        styles: int64 of shape (count,), an index into STYLE_NAMES.
    """

    def __init__(self, world: World, count: int, split: str, seed: int, cache: Path | None = None) -> None:
        self.world, self.names = world, tuple(world.concepts)
        self.scenes: list[Scene] = [scene for scene, _ in world.scenes(count, split, seed)]
        self.images = self._draw(cache)
        self.concepts = torch.zeros(count, len(self.names))
        index = {name: k for k, name in enumerate(self.names)}
        for row, scene in enumerate(self.scenes):
            for name in scene.concepts:
                self.concepts[row, index[name]] = 1
        self.styles = torch.tensor([STYLE_NAMES.index(scene.style or "plain") for scene in self.scenes])
        self.nude = np.array(["nudity" in scene.concepts for scene in self.scenes])

    def _draw(self, cache: Path | None) -> np.ndarray:
        if cache is not None and cache.exists():
            return np.load(cache, mmap_mode="r")
        images = np.stack([self.world.render(scene) for scene in self.scenes])
        if cache is not None:
            save_npy(cache, images)
        return images

    def pixels(self, rows: np.ndarray) -> torch.Tensor:
        """Images as float32 of shape (len(rows), 3, 64, 64) in [-1, 1]."""
        return torch.from_numpy(self.images[rows]).permute(0, 3, 1, 2).float() / 127.5 - 1

    def captions(self, rows: np.ndarray, rng: np.random.Generator) -> list[str]:
        """A fresh caption for each row."""
        return [self.world.caption(self.scenes[row], rng) for row in rows]


def save_npy(path: Path, array: np.ndarray) -> None:
    """Write an array as NumPy's own file, whole or not at all."""

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:
            np.save(file, array)

    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, write)
