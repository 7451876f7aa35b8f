"""Notes beside drawn images: which is flat, which was drawn in float32, and which has no pixels that mean anything.

Most images have none. A note is written before its image, whose place it takes where there is nothing to show.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..storage.files import damaged, read_json, write_json

NOT_FINITE = "its values are not finite (NaN or infinite)"


@dataclass(frozen=True)
class ImageNote:
    """What is to be known of one image.

    Attributes:
        unscored: why it has no pixels; "" where it has.
        flat: whether all its pixels are equal.
        in_float32: whether half precision gave values that are not finite, so that it was drawn in float32.
    """

    unscored: str = ""
    flat: bool = False
    in_float32: bool = False


def note_of(image: np.ndarray, finite: bool, in_float32: bool) -> ImageNote | None:
    """The note of an image of shape (height, width, 3); None for an ordinary one.

    >>> note_of(np.zeros((2, 2, 3), np.uint8), True, False)
    ImageNote(unscored='', flat=True, in_float32=False)
    """
    if not finite:
        return ImageNote(unscored=NOT_FINITE + (", in float32 too" if in_float32 else ""), in_float32=in_float32)
    flat = bool((image == image[0, 0]).all())
    return ImageNote(flat=flat, in_float32=in_float32) if flat or in_float32 else None


def note_file(image: Path) -> Path:
    """Where the note of an image file lies."""
    return image.with_suffix(".json")


def write_note(image: Path, note: ImageNote) -> None:
    write_json(note_file(image), vars(note))


def read_note(image: Path) -> ImageNote:
    """An image's note; an empty one where there is none, or with a warning where it is damaged."""
    stored = read_json(note_file(image))
    try:
        return ImageNote(**stored) if stored else ImageNote()
    except TypeError:
        damaged(note_file(image))
        return ImageNote()


def is_drawn(image: Path) -> bool:
    """Whether an image is there, or known to have no pixels."""
    return image.exists() or bool(read_note(image).unscored)


def noted_images(files: Iterable[Path]) -> dict[str, ImageNote]:
    """The notes beside these files, by file name; folders are listed once."""
    files = list(files)
    present = {note for folder in {file.parent for file in files} for note in folder.glob("*.json")}
    return {file.name: read_note(file) for file in files if note_file(file) in present} if present else {}
