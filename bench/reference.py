"""Real images to compare with: prepared once into cached features, or a plain folder."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from erasebench.prompts.files import read_prompts
from erasebench.prompts.prompt import Prompt

from .errors import BenchError
from .generate import Job
from .image_sets import ImageSet, Vision
from .images import Unreadable, image_files, read_image
from .layout import REFERENCE
from .scores import NotScored
from .store import content_key, file_hash, folder_hash, read_json, write_json

INDEX = "reference.json"


def open_reference(folder: Path) -> ImageSet:
    """The real images of a folder that `prepare_reference` made, or of a plain folder of images.

    Raises:
        BenchError: there is no such folder, or no image in it.
    """
    stored = read_json(folder / INDEX)
    if stored is not None:
        root = Path(stored["images"])
        jobs = [Job(entry["id"], entry["prompt"], 0, 0) for entry in stored["captions"]]
        paths = [root / entry["file"] for entry in stored["captions"]]
        return ImageSet(REFERENCE, "coco", root, jobs, stored["hash"], folder / "features", paths)
    files = image_files(folder) if folder.is_dir() else []
    if not files:
        raise BenchError(
            f"--reference {folder}: neither a folder of images nor one made by `bench reference NAME --images FOLDER "
            "--captions FILE`."
        )
    return ImageSet(REFERENCE, "coco", folder, [], folder_hash(folder), None, files)


def prepare_reference(images: Path, captions: str, count: int | None, folder: Path) -> dict[str, Any]:
    """Pair captions with images by id or file name, never by order, and write the index.

    Returns the index: hash, captions with files, and the names of images that are missing or unreadable.

    Raises:
        BenchError: the captions name no images, or none of those is there.
    """
    prompts = read_prompts(captions, count)
    if any(prompt.reference is None for prompt in prompts):
        raise BenchError(
            f"--captions {captions}: a caption needs the image it belongs to: a column `image_id` or `file_name`, or "
            "COCO's own JSON."
        )
    if not images.is_dir():
        raise BenchError(f"--images {images}: there is no such folder.")
    paired, missing, unreadable = _pair(prompts, images)
    if not paired:
        raise BenchError(f"--images {images}: not one of the {len(prompts)} captions' images is there.")
    digests = [(prompt.id, prompt.text, file_hash(path)) for prompt, path in paired]
    index = {
        "images": str(images.resolve()), "source": captions, "hash": content_key(reference=digests),
        "missing": missing, "unreadable": unreadable,
        "captions": [{"id": p.id, "prompt": p.text, "file": str(path.relative_to(images))} for p, path in paired],
    }  # fmt: skip
    write_json(folder / INDEX, index)
    return index


def extract(folder: Path, vision: Vision) -> tuple[int, int]:
    """Extract and keep one encoder's features of a prepared reference; (images, width)."""
    images, width = open_reference(folder).features(vision).shape
    return images, width


def extract_all(folder: Path, visions: Sequence[Any]) -> list[str]:
    """Extract by every encoder that can be had; a line on each. `visions` are functions that load one."""
    lines = []
    for load in visions:
        try:
            vision = load()
            images, width = extract(folder, vision)
            lines.append(f"{vision.name}: {images} images × {width} features")
        except NotScored as reason:
            lines.append(f"left out: {reason}")
    return lines


def _pair(prompts: Sequence[Prompt], root: Path) -> tuple[list[tuple[Prompt, Path]], list[str], list[str]]:
    """Captions with their files; names of missing and of unreadable files.

    A file name is looked up below the folder as it stands, or without folders where that is unique; an id as the last
    number in a file's name, as in COCO_val2014_000000203564.jpg.
    """
    by_name: dict[str, list[Path]] = {}
    by_id: dict[int, list[Path]] = {}
    for path in image_files(root):
        for name in {path.name, path.relative_to(root).as_posix()}:
            by_name.setdefault(name, []).append(path)
        if digits := re.findall(r"\d+", path.stem):
            by_id.setdefault(int(digits[-1]), []).append(path)
    paired, missing, unreadable = [], [], []
    for prompt in prompts:
        name = str(prompt.reference)
        found = by_id.get(int(name), []) if name.isdigit() else by_name.get(name, [])
        if len(found) > 1:
            raise BenchError(f"--images {root}: both {found[0]} and {found[1]} could be the image {name}. Remove one.")
        if not found:
            missing.append(name)
        elif isinstance(image := read_image(found[0]), Unreadable):
            unreadable.append(str(image))
        else:
            paired.append((prompt, found[0]))
    return paired, missing, unreadable
