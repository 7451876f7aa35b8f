"""An image set's folder in a run: what belongs there is written down, and the store's images are shown in it."""

from __future__ import annotations

import shutil

from ..runs.folder import RunFolder
from ..storage.files import read_json, write_json
from ..storage.links import show
from ..storage.reasons import Again, say_why, warn
from .image_set import ImageSet
from .notes import note_file
from .shards import Shard


def prepare_images(folder: RunFolder, images: ImageSet, again: Again = warn) -> None:
    """Make sure that the folder shows nothing but images of this set; `again` is told why others are drawn again."""
    record = folder.images_key(images.row, images.name, images.training)
    stored, key = read_json(record), images.planned_key
    if stored is not None and stored.get("key") == key:
        return
    if stored is not None:
        seed = "" if images.training is None else f", seed {images.training}"
        say_why(f"images of {images.row}{seed}, set {images.name}: drawn", stored, images.made_from, again)
    shutil.rmtree(images.folder, ignore_errors=True)
    facts = {
        "key": key,
        "made_from": images.made_from,
        "prompts": {job.prompt_id: job.text for job in images.jobs},
        "seeds": {job.file_name: job.seed for job in images.jobs},
    }
    write_json(record, facts)


def show_images(images: ImageSet, shard: Shard) -> bool:
    """Show a shard's images, and notes, in the set's folder; False where the store has them not."""
    entry = images.entry(images.key_of(shard))
    if entry is None:
        return False
    for number, place in enumerate(shard.places):
        file, stored = images.files[place], entry.file(stored_name(number))
        for source, target in ((stored, file), (note_file(stored), note_file(file))):
            if source.name in entry.names:
                show(source, target)
            else:
                target.unlink(missing_ok=True)
    return True


def stored_name(number: int) -> str:
    """What a shard's image is called in the store."""
    return f"{number:04d}-0.png"
