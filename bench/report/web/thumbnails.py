"""Small copies of a run's images: inside a page, within a budget, or in a folder beside it."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence
from pathlib import Path

from PIL import Image

from ...images.files import Unreadable, ahead, read_image
from ...storage.files import write_atomically
from .pictures import PictureRow, PictureSet

SIDE = 192  # pixels of the longer side; smaller images stay as they are
QUALITY = 80  # of WebP
MB = 1_000_000
SUFFIX = ".webp"


def inlined(
    sets: Sequence[PictureSet], budget: float, told: Callable[[int, int], None]
) -> tuple[list[PictureSet], list[list[list[str | None]]]]:
    """The sets with as many prompts as fit, and by set, row and prompt each image as base64 of a WebP file.

    Args:
        sets: the images.
        budget: MB of base64 in all, shared evenly between the sets; at least one prompt of each is taken.
        told: called with how many images are copied, and how many there are at most.
    """
    shown, copies, done = [], [], 0
    total = sum(len(one.prompts) * len(one.rows) for one in sets)
    for one in sets:
        kept: dict[int, list[str | None]] = {}
        used, most = 0.0, budget * MB / len(sets)
        for number in one.order:
            files = [row.folder / one.prompts[number].file_name if row.present[number] else None for row in one.rows]
            column = list(ahead(_copy, files))
            used += sum(len(copy) for copy in column if copy)
            if used > most and kept:
                break
            kept[number] = column
            done += len(files)
            told(done, total)
        shown.append(one.only(list(kept)))
        columns = [kept[number] for number in sorted(kept)]
        copies.append([[column[row] for column in columns] for row in range(len(one.rows))])
    return shown, copies


def beside(
    sets: Sequence[PictureSet], folder: Path, told: Callable[[int, int], None]
) -> list[list[tuple[Path, list[bool]]]]:
    """Write small copies of all images below a folder; by set and row where they lie, and whether each prompt's does.

    Args:
        sets: the images.
        folder: of the copies; those that an earlier page left there under the same names are replaced.
        told: as for `inlined`.
    """
    found, done, total = [], 0, sum(len(one.prompts) * len(one.rows) for one in sets)
    for one in sets:
        rows = []
        for row in one.rows:
            place = folder / one.role / (row.key if row.training is None else f"{row.key}-seed-{row.training}")
            there = []
            for prompt, copy in zip(one.prompts, ahead(_webp, _files(one, row)), strict=True):
                there.append(copy is not None)
                if copy is not None:
                    file = (place / prompt.file_name).with_suffix(SUFFIX)
                    write_atomically(file, lambda path, copy=copy: path.write_bytes(copy))  # type: ignore[misc]
            rows.append((place, there))
            done += len(there)
            told(done, total)
        found.append(rows)
    return found


def _files(one: PictureSet, row: PictureRow) -> list[Path | None]:
    """A row's images in the order of the prompts; None where one is not there."""
    pairs = zip(one.prompts, row.present, strict=True)
    return [row.folder / prompt.file_name if is_there else None for prompt, is_there in pairs]


def _copy(file: Path | None) -> str | None:
    """A WebP copy as base64; None as for `_webp`."""
    copy = _webp(file)
    return None if copy is None else base64.b64encode(copy).decode()


def _webp(file: Path | None) -> bytes | None:
    """A WebP copy; None of an image that is not there or can't be read."""
    pixels = Unreadable(Path(), "missing") if file is None else read_image(file)
    if isinstance(pixels, Unreadable):
        return None
    image, buffer = Image.fromarray(pixels), io.BytesIO()
    image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    image.save(buffer, "WEBP", quality=QUALITY, method=2)
    return buffer.getvalue()
