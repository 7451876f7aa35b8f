"""Reading images: in order, ahead of their use, a few at a time; what can't be read is named, never skipped."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
LEAST_SIDE = 16  # pixels: smaller ones show nothing that could be found
MOST_PIXELS = 64_000_000
READERS = 4
AHEAD = 64  # images that are read before they are used


@dataclass(frozen=True)
class Unreadable:
    """An image that can't be scored, and why."""

    path: Path
    reason: str

    def __str__(self) -> str:
        return f"{self.path.name}: {self.reason}"


def read_image(path: Path) -> np.ndarray | Unreadable:
    """An image as uint8 RGB of shape (height, width, 3); its size is checked before its pixels are read."""
    try:
        with Image.open(path) as image:
            width, height = image.size
            if min(width, height) < LEAST_SIDE:
                return Unreadable(path, f"{width}×{height} pixels: under {LEAST_SIDE}")
            if width * height > MOST_PIXELS:
                return Unreadable(path, f"{width}×{height} pixels: over {MOST_PIXELS:,} in all")
            return np.asarray(image.convert("RGB"))
    except FileNotFoundError:
        return Unreadable(path, "missing")
    except Image.DecompressionBombError as error:
        return Unreadable(path, str(error))
    except (OSError, ValueError, SyntaxError) as error:
        return Unreadable(path, f"not readable: {error}".replace(str(path), path.name))


def stream(paths: Iterable[Path]) -> Iterator[np.ndarray | Unreadable]:
    """The images in the order of their paths, read ahead by a few threads; memory does not grow with their number."""
    with ThreadPoolExecutor(READERS) as readers:
        pending: deque[Future[np.ndarray | Unreadable]] = deque()
        for path in paths:
            pending.append(readers.submit(read_image, path))
            if len(pending) > AHEAD:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


def image_files(folder: Path) -> list[Path]:
    """All image files below a folder, by name."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
