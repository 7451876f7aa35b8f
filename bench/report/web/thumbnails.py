"""Small copies of a run's images: inside a page, within a budget, or in a folder beside it."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from ...images.files import Unreadable, ahead, read_image
from ...runs.rows import ORIGINAL
from ...storage.files import write_atomically
from .pictures import PictureMetric, PictureRow, PictureSet

SIDE = 192  # pixels of the longer side; smaller images stay as they are
QUALITY = 80  # of WebP
MB = 1_000_000
SUFFIX = ".webp"
SKETCH = 32  # pixels of what changes are told from
CHANGE = PictureMetric("pixel-change", "Pixel change", "lower", 3, is_change=True)


@dataclass(frozen=True)
class Copy:
    """A WebP file's bytes, and uint8 RGB of shape (SKETCH, SKETCH, 3) to compare with others."""

    webp: bytes
    sketch: np.ndarray

    @property
    def text(self) -> str:
        """As base64."""
        return base64.b64encode(self.webp).decode()


def inlined(
    sets: Sequence[PictureSet], budget: float, told: Callable[[int], None]
) -> tuple[list[PictureSet], list[list[list[str | None]]]]:
    """The sets with as many prompts as fit, and by set, row and prompt each image as base64 of a WebP file.

    Args:
        sets: the images.
        budget: MB of base64 in all, shared evenly between the sets, what one leaves by those after it; at least one
            prompt of each is taken.
        told: called with how many more of the images are copied or left out.
    """
    shown, copies, left = [], [], budget * MB
    for place, one in enumerate(sets):
        kept: dict[int, list[Copy | None]] = {}
        share = left / (len(sets) - place)
        for number in one.order:
            files = [row.folder / one.prompts[number].file_name if row.present[number] else None for row in one.rows]
            column = list(ahead(_copy, files))
            size = sum(len(copy.text) for copy in column if copy)
            if size > share and kept:
                break
            kept[number] = column
            share, left = share - size, left - size
            told(len(files))
        told((len(one.prompts) - len(kept)) * len(one.rows))
        columns = [kept[number] for number in sorted(kept)]
        by_row = [[column[row] for column in columns] for row in range(len(one.rows))]
        shown.append(_with_changes(one.only(list(kept)), [[_sketch(copy) for copy in row] for row in by_row]))
        copies.append([[None if copy is None else copy.text for copy in row] for row in by_row])
    return shown, copies


def beside(
    sets: Sequence[PictureSet], folder: Path, told: Callable[[int], None]
) -> tuple[list[PictureSet], list[list[tuple[Path, list[bool]]]]]:
    """Write small copies of all images below a folder; by set and row where they lie, and whether each prompt's does.

    Args:
        sets: the images.
        folder: of the copies; those that an earlier page left there under the same names are replaced.
        told: called with how many more of the images are copied.
    """
    shown, found = [], []
    for one in sets:
        rows, sketches = [], []
        for row in one.rows:
            place = folder / one.role / (row.key if row.training is None else f"{row.key}-seed-{row.training}")
            there, drawn = list[bool](), list[np.ndarray | None]()
            for prompt, copy in zip(one.prompts, ahead(_copy, _files(one, row)), strict=True):
                there.append(copy is not None)
                drawn.append(_sketch(copy))
                if copy is not None:
                    file = (place / prompt.file_name).with_suffix(SUFFIX)
                    write_atomically(file, lambda path, copy=copy: path.write_bytes(copy.webp))  # type: ignore[misc]
            rows.append((place, there))
            sketches.append(drawn)
            told(len(there))
        shown.append(_with_changes(one, sketches))
        found.append(rows)
    return shown, found


def _with_changes(one: PictureSet, sketches: Sequence[Sequence[np.ndarray | None]]) -> PictureSet:
    """The set with how far each image's pixels are from the original's, where no metric says it.

    The mean absolute difference of sketches in [0, 1], by row and prompt.
    """
    originals = [drawn for row, drawn in zip(one.rows, sketches, strict=True) if row.key == ORIGINAL]
    if not originals or any(metric.is_change for metric in one.metrics):
        return one
    rows = []
    for row, drawn in zip(one.rows, sketches, strict=True):
        pairs = zip(drawn, originals[0], strict=True)
        changes = tuple(None if row.key == ORIGINAL else _change(mine, original) for mine, original in pairs)
        rows.append(replace(row, values={**row.values, CHANGE.key: changes}))
    return replace(one, metrics=(*one.metrics, CHANGE), rows=tuple(rows))


def _change(mine: np.ndarray | None, original: np.ndarray | None) -> float | None:
    if mine is None or original is None:
        return None
    return float(np.abs(mine.astype(np.int16) - original).mean() / 255)


def _sketch(copy: Copy | None) -> np.ndarray | None:
    return None if copy is None else copy.sketch


def _files(one: PictureSet, row: PictureRow) -> list[Path | None]:
    """A row's images in the order of the prompts; None where one is not there."""
    pairs = zip(one.prompts, row.present, strict=True)
    return [row.folder / prompt.file_name if is_there else None for prompt, is_there in pairs]


def _copy(file: Path | None) -> Copy | None:
    """A small copy; None of an image that is not there or can't be read."""
    pixels = Unreadable(Path(), "missing") if file is None else read_image(file)
    if isinstance(pixels, Unreadable):
        return None
    image, buffer = Image.fromarray(pixels), io.BytesIO()
    image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    image.save(buffer, "WEBP", quality=QUALITY, method=2)
    return Copy(buffer.getvalue(), np.asarray(image.resize((SKETCH, SKETCH), Image.Resampling.BOX)))
