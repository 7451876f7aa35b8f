"""Image files: written whole with a checksum; read in order, ahead of their use; what can't be read is named."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from ..storage.files import damaged, is_there, read_json, write_atomically
from .modes import as_rgb
from .notes import note_file, read_note

Item = TypeVar("Item")
Result = TypeVar("Result")
CHECKSUM = "pixels-sha256"  # an entry of a PNG's text
END = b"\x00\x00\x00\x00IEND\xaeB\x60\x82"  # a PNG's last chunk
SUFFIXES = frozenset(
    [
        ".png",
        ".apng",
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".webp",
        ".bmp",
        ".dib",
        ".gif",
        ".tif",
        ".tiff",
        ".avif",
        ".heic",
        ".heif",
        ".jp2",
        ".ppm",
        ".pgm",
        ".pnm",
    ]
)
ARCHIVE_LITTER = "__MACOSX"  # what macOS puts beside the files of a ZIP archive
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
            pixels = as_rgb(image)
            written = getattr(image, "text", {}).get(CHECKSUM)  # none in images that were not drawn here
            if written is not None and (written != _digest(pixels) or not _has_end(path)):
                return Unreadable(path, "torn or altered: it does not have its checksum")
            return pixels
    except FileNotFoundError:
        return read_image(path) if is_there(path) else Unreadable(path, read_note(path).unscored or "missing")
    except Image.DecompressionBombError as error:
        return Unreadable(path, str(error))
    except (OSError, ValueError, SyntaxError) as error:
        return Unreadable(path, f"not readable: {error}".replace(str(path), path.name))


def write_png(path: Path, image: np.ndarray) -> None:
    """Write a uint8 RGB image losslessly; it appears under its name only when it is whole."""
    facts = PngInfo()
    facts.add_text(CHECKSUM, _digest(image))

    def write(temporary: Path) -> None:
        Image.fromarray(image).save(temporary, format="PNG", compress_level=1, pnginfo=facts)

    write_atomically(path, write)


def _has_end(path: Path) -> bool:
    """Whether a PNG file's last chunk is there; decoders do without it."""
    with path.open("rb") as file:
        file.seek(-len(END), 2)
        return file.read() == END


def _digest(pixels: np.ndarray) -> str:
    return hashlib.sha256(repr(pixels.shape).encode() + np.ascontiguousarray(pixels).tobytes()).hexdigest()[:32]


def remove_damaged(paths: Iterable[Path]) -> None:
    """Delete those of the images that are there and can't be read as they were written; each is named.

    One whose note is damaged goes too, so that both are made again.
    """
    paths = list(paths)
    for path in paths:
        if note_file(path).exists() and read_json(note_file(path)) is None:
            note_file(path).unlink()
            path.unlink(missing_ok=True)
    present = (path for path in paths if path.exists())
    for image in stream(present):
        if isinstance(image, Unreadable):
            damaged(image.path)
            image.path.unlink(missing_ok=True)


def stream(paths: Iterable[Path]) -> Iterator[np.ndarray | Unreadable]:
    """The images in the order of their paths, read ahead."""
    return ahead(read_image, paths)


def ahead(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """The function's results in the items' order, computed by a few threads before they are asked for.

    Memory does not grow with the number of items.
    """
    with ThreadPoolExecutor(READERS) as readers:
        pending: deque[Future[Result]] = deque()
        for item in items:
            pending.append(readers.submit(function, item))
            if len(pending) > AHEAD:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


def image_files(folder: Path) -> list[Path]:
    """All files below a folder whose ending is an image's, in any case, by name; hidden ones are left out."""
    return [path for path in _visible_files(folder) if path.suffix.lower() in SUFFIXES]


def other_files(folder: Path) -> list[Path]:
    """The other files below a folder, hidden ones left out."""
    return [path for path in _visible_files(folder) if path.suffix.lower() not in SUFFIXES]


def _visible_files(folder: Path) -> list[Path]:
    def is_hidden(path: Path) -> bool:
        parts = path.relative_to(folder).parts
        return any(part.startswith(".") or part == ARCHIVE_LITTER for part in parts)

    return sorted(path for path in folder.rglob("*") if not is_hidden(path) and path.is_file())
