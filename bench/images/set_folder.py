"""An image set's folder in a run: what belongs there is written down, and the store's images are shown in it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from ..runs.folder import RunFolder
from ..runs.rows import UNRANKED_ROWS
from ..storage.files import read_json, write_json
from ..storage.links import show
from ..storage.reasons import Again, say_why, warn
from ..storage.store import Entry
from .image_set import ImageSet
from .shards import Shard


def prepare_images(folder: RunFolder, images: ImageSet, again: Again = warn) -> None:
    """Show what the store has of this set and nothing else; `again` is told why other images are drawn again."""
    record = folder.images_key(images.row, images.name, images.training)
    stored, key = read_json(record), images.planned_key
    if stored is None or stored.get("key") != key:
        if stored is not None:
            seed = "" if images.training is None else f", seed {images.training}"
            say_why(f"images of {images.row}{seed}, set {images.name}: drawn", stored, images.made_from, again)
        shutil.rmtree(images.folder, ignore_errors=True)
        if images.row in UNRANKED_ROWS:  # other rows draw the original's
            prompts = {job.prompt_id: job.text for job in images.jobs}
            seeds = {job.file_name: job.seed for job in images.jobs}
            write_json(folder.images_list(images.row, images.name), {"prompts": prompts, "seeds": seeds})
        write_json(record, {"key": key, "made_from": images.made_from})
    show_set(images)


def show_set(images: ImageSet) -> None:
    """Show what the store has of a set, and none that was taken away."""
    present = _inodes(images.folder)
    for shard in images.drawn:
        show_images(images, shard, present)


def _inodes(folder: Path) -> dict[str, int]:
    """The files below a folder with their inodes: of many files that is faster than to look at each."""
    found = {}
    for place, _, _ in os.walk(folder):
        with os.scandir(place) as entries:
            found.update({entry.path: entry.inode() for entry in entries})
    return found


def show_images(images: ImageSet, shard: Shard, present: Mapping[str, int] | None = None) -> bool:
    """Show a shard's images, and notes, in the set's folder; False where the store does not have them.

    Args:
        images: the set.
        shard: which of its images.
        present: the files that are shown with their inodes; None where that is to be found out.
    """
    entry = images.entry(images.key_of(shard))
    if entry is None:
        return False
    for number, place in enumerate(shard.places):
        file, name = images.path(place), stored_name(number)
        _show(entry, name, file, present)
        _show(entry, _note(name), _note(file), present)
    return True


def _show(entry: Entry, name: str, target: str, present: Mapping[str, int] | None) -> None:
    inode = entry.inodes.get(name)
    if inode is not None and (present is None or present.get(target) != inode):
        show(entry.file(name), Path(target))
    elif inode is None and (present is None or target in present):
        Path(target).unlink(missing_ok=True)


def _note(image: str) -> str:
    """As `note_file`, of hundreds of thousands of names."""
    return f"{image.removesuffix('.png')}.json"


def stored_name(number: int) -> str:
    """What a shard's image is called in the store."""
    return f"{number:04d}-0.png"
