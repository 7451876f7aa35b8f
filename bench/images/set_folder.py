"""An image set's folder: made ready for its key, or begun anew with the reason."""

from __future__ import annotations

import shutil

from ..runs.folder import RunFolder
from ..storage.files import read_json, write_json
from ..storage.reasons import Again, say_why, warn
from .image_set import ImageSet


def prepare_images(folder: RunFolder, images: ImageSet, again: Again = warn) -> None:
    """Make sure that the folder holds nothing but images of this key; `again` is told why others are drawn again."""
    if holds(folder, images):
        return
    stored = read_json(folder.images_key(images.row, images.name, images.training))
    if stored is not None:
        seed = "" if images.training is None else f", seed {images.training}"
        say_why(f"images of {images.row}{seed}, set {images.name}: drawn", stored, images.made_from, again)
    begin_anew(folder, images)


def holds(folder: RunFolder, images: ImageSet) -> bool:
    """Whether the folder is this set's; its key becomes a smaller batch's where memory did not suffice for its own."""
    stored = read_json(folder.images_key(images.row, images.name, images.training)) or {}
    return stored.get("key") == images.key or (
        stored.get("planned_batch") == images.planned_batch and images.take(str(stored.get("key")))
    )


def begin_anew(folder: RunFolder, images: ImageSet) -> None:
    """Empty a set's folder and write down what belongs there."""
    shutil.rmtree(images.folder, ignore_errors=True)
    images.folder.mkdir(parents=True)
    prompts = {job.prompt_id: job.text for job in images.jobs}
    seeds = {job.file_name: job.seed for job in images.jobs}
    facts = {
        "key": images.key,
        "made_from": images.made_from,
        "planned_batch": images.planned_batch,
        "prompts": prompts,
        "seeds": seeds,
    }
    write_json(folder.images_key(images.row, images.name, images.training), facts)
