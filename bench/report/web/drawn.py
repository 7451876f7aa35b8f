"""Pictures that a run's other commands drew: attacks, purification, training by step; as they are or as copies."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from PIL import Image, UnidentifiedImageError

from .opened import OpenRun
from .pictures import is_blurred
from .thumbnails import MB, QUALITY

WIDEST = 1600  # pixels of a copy
SHARE = 0.25  # of the page's budget for pictures


@dataclass(frozen=True)
class Drawn:
    """A picture; `source` is its address or its bytes as a data URL."""

    title: str
    source: str
    is_blurred: bool


def drawn_by(run: OpenRun, address: str | None, budget: float) -> list[Drawn]:
    """The pictures that there are, in the order of the rows.

    Args:
        run: whose.
        address: of the run's folder from the page, where pictures are linked; None for copies.
        budget: MB of all pictures of the page; a quarter is for these, and what does not fit is left out.
    """
    found, left, veiled = [], budget * MB * SHARE, is_blurred(run, "concept")
    for title, file in _files(run):
        if address is not None:
            source: str | None = address + quote(file.relative_to(run.folder.root).as_posix())
        else:
            source = _copy(file)
            left -= len(source or "")
        if source is not None and left >= 0:
            found.append(Drawn(title, source, veiled))
    return found


def _files(run: OpenRun) -> Iterator[tuple[str, Path]]:
    root, rows = run.folder.root, run.record.rows
    named = [
        ("Images by training step", root / "strips.png"),
        ("What trainings searched, by their steps", root / "searched.png"),
        *((f"Attacks on {run.label(row)}", root / "attacks" / f"{row}.png") for row in rows),
        *((f"Real images through {run.label(row)}", root / "purified" / f"{row}.png") for row in rows),
    ]
    yield from ((title, file) for title, file in named if file.is_file())


def _copy(file: Path) -> str | None:
    """A WebP copy as a data URL; None where the file can't be read."""
    try:
        with Image.open(file) as image:
            picture = image.convert("RGB")
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError):
        return None
    picture.thumbnail((WIDEST, WIDEST * 4), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", quality=QUALITY, method=2)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"
