"""Runs' pictures as a page's script takes them: copies in the page, copies beside it, or the runs' own files."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from .opened import OpenRun
from .pictures import MOST_IMAGES, PictureRow, PictureSet, on_a_page, pictures_of
from .thumbnails import SUFFIX, beside, inlined

DIGITS = 4  # significant, of an image's value
ORIGINALS = ".png"
Told = Callable[[str, str, int, int], None]  # of what, in which unit, how many are done, of how many


@dataclass(frozen=True)
class _Row:
    """A row's pictures: base64 within the page, or, with a folder's address, whether each is there.

    `full` is the address of the folder of the run's own files, where the page has them near.
    """

    images: Sequence[str | int | None]
    folder: str | None
    full: str | None


@dataclass(frozen=True)
class ShownSet:
    """A set's pictures on a page; `data` is for its script."""

    role: str
    data: dict[str, Any]

    @property
    def has_files(self) -> bool:
        """Whether the page shows files that lie outside it."""
        return any(row["folder"] or row["full"] for row in self.data["rows"])


def shown_pictures(
    runs: Sequence[OpenRun], here: Path, budget: float, link: bool, copied: Path | None, told: Told
) -> list[list[ShownSet]]:
    """Each run's sets of pictures on a page in the folder `here`.

    Args:
        runs: whose.
        here: the page's folder, resolved.
        budget: MB of copies in the page; 0 for no pictures.
        link: show the runs' own files.
        copied: the folder of copies beside the page; None for none.
        told: called as copies are made.
    """
    if not (link or copied or budget):
        return [[] for _ in runs]
    whole = [(k, one) for k, run in enumerate(runs) for one in pictures_of(run)]
    fitting = list(zip([k for k, _ in whole], on_a_page([one for _, one in whole], MOST_IMAGES), strict=True))
    total, done = sum(one.images for _, one in fitting), 0

    def more(count: int) -> None:
        nonlocal done
        done += count
        told("pictures", "images", done, total)

    found = []
    for k, run in enumerate(runs):
        sets = [one for place, one in fitting if place == k]
        if copied is not None:
            shown, places = beside(sets, copied.absolute() / run.name, more)
            rows = [
                [
                    _Row(list(map(int, there)), address(place, here), near(run, row.folder, here))
                    for row, (place, there) in zip(one.rows, own, strict=True)
                ]
                for one, own in zip(shown, places, strict=True)
            ]
        elif link:
            shown = sets
            rows = [[_linked(row, address(row.folder, here)) for row in one.rows] for one in sets]
        else:
            shown, copies = inlined(sets, budget / len(runs), more)
            rows = [
                [_Row(images, None, near(run, row.folder, here)) for row, images in zip(one.rows, own, strict=True)]
                for one, own in zip(shown, copies, strict=True)
            ]
        suffix = SUFFIX if copied is not None else ORIGINALS
        rests = [_rest(run, one, len(all_of.prompts)) for one, all_of in zip(shown, sets, strict=True)]
        found.append(
            [
                ShownSet(one.role, _set_data(run, one, own, suffix, rest))
                for one, own, rest in zip(shown, rows, rests, strict=True)
            ]
        )
    return found


def _linked(row: PictureRow, folder: str) -> _Row:
    return _Row(list(map(int, row.present)), folder, folder)


def address(folder: Path, here: Path) -> str:
    """A folder as a page in `here` calls it, with a slash at its end."""
    return quote(Path(os.path.relpath(folder.resolve(), here)).as_posix()) + "/"


def near(run: OpenRun, folder: Path, here: Path) -> str | None:
    """The address of a run's folder from a page that lies in the run's folder or above it; None from elsewhere."""
    return address(folder, here) if run.folder.root.resolve().is_relative_to(here) else None


def _rest(run: OpenRun, one: PictureSet, fitting: int) -> str:
    """Where to see what a sample leaves out; "" where it leaves nothing out."""
    if len(one.prompts) == one.size:
        return ""
    kept = "the rest lies" if run.plan.keep_images == "all" else "what was kept of the rest lies"
    lies = f"{kept} in images, in the run’s folder"
    if len(one.prompts) == fitting:
        return f"a page holds {MOST_IMAGES:,} images at most, and {lies}"
    more = "all" if fitting == one.size else f"{fitting:,} prompts"
    return f"`bench report --beside` shows {more}" + ("" if fitting == one.size else f", and {lies}")


def _set_data(run: OpenRun, one: PictureSet, shown: Sequence[_Row], suffix: str, rest: str) -> dict[str, Any]:
    rows = []
    for row, pictures in zip(one.rows, shown, strict=True):
        values = {
            name: [None if value is None else float(f"{value:.{DIGITS}g}") for value in values]
            for name, values in row.values.items()
        }
        seed = None if row.training is None else str(row.training)
        told = {"key": row.key, "label": row.label, "training": seed, "values": values}
        place = row.folder.relative_to(run.folder.root).as_posix()
        rows.append({**told, **asdict(pictures), "place": f"{place}/"})
    prompts = [
        {
            "id": prompt.id,
            "text": prompt.text,
            "file": quote(prompt.file_name.removesuffix(ORIGINALS)),
            "seed": prompt.seed,
        }
        for prompt in one.prompts
    ]
    return {
        "role": one.role,
        "prompts": prompts,
        "size": one.size,
        "rest": rest,
        "suffix": suffix,
        "metrics": [asdict(metric) for metric in one.metrics],
        "rows": rows,
        "blurred": one.is_blurred,
    }
