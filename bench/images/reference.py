"""Real images to compare with: prepared once into cached features, or a plain folder."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from erasebench.prompts.columns import is_number
from erasebench.prompts.files import read_prompts
from erasebench.prompts.prompt import Prompt
from erasebench.prompts.sets import sampled

from ..errors import BenchError, NotScored
from ..mini.held_out import real_captions, real_features
from ..runs.rows import REFERENCE
from ..storage.files import read_json, write_json
from ..storage.keys import content_key, file_hash
from ..storage.store import Store
from .files import Unreadable, image_files, other_files, read_image
from .image_set import Encoder, ImageSet
from .jobs import Job

INDEX = "reference.json"


def open_reference(folder: Path, store: Store | None = None) -> ImageSet:
    """The real images of a folder that `prepare_reference` made, or of a plain folder of images.

    What encoders see in them is kept in a store of the prepared folder's own, or in the one that is given.

    Raises:
        BenchError: there is no such folder, or no image in it.
    """
    stored = read_json(folder / INDEX)
    if stored is not None:
        root = Path(stored["images"])
        jobs = [Job(entry["id"], entry["prompt"], 0, 0) for entry in stored["captions"]]
        paths = [root / entry["file"] for entry in stored["captions"]]
        return ImageSet(REFERENCE, "coco", root, jobs, stored["hash"], Store(folder / "features"), paths)
    files = image_files(folder) if folder.is_dir() else []
    if not files:
        raise BenchError(
            f"--reference {folder}: neither a folder of images nor one made by `bench reference NAME --images FOLDER "
            "--captions FILE`."
        )
    if others := other_files(folder):
        _warn_once(f"--reference {folder}: {len(others)} files are no images by their ending, such as {others[0].name}")
    digests = [(path.relative_to(folder).as_posix(), file_hash(path)) for path in files]
    return ImageSet(REFERENCE, "coco", folder, [], content_key(images=digests), store, files)


def world_reference(folder: Path) -> ImageSet:
    """The embedded world's real images: their captions, and what the judge saw in them; no image is in the package.

    Args:
        folder: where they would lie.
    """
    texts, (features, revision) = real_captions(), real_features()
    jobs = [Job(f"real-{k:05d}", text, 0, 0) for k, text in enumerate(texts)]
    key = content_key(captions=texts, features=hashlib.sha256(features.tobytes()).hexdigest(), judge=revision)
    return ImageSet(REFERENCE, "coco", folder, jobs, key, known={revision: features})


@cache
def _warn_once(text: str) -> None:
    logging.getLogger("erasebench").warning("%s", text)


def prepare_reference(images: Path, captions: str, count: int | None, folder: Path) -> dict[str, Any]:
    """Pair captions with images by id or file name, never by order, and write the index.

    Of `count` captions (None: all) it takes the fixed random sample that a prompt set of this file takes, so that a
    larger one holds every smaller. An image that has several captions gets the first of them.

    Returns the index: hash, captions with files, and the names of images that are missing, unreadable or without a
        caption, of further captions of an image, and of files that are no images by their ending.

    Raises:
        BenchError: the captions name no images, or none of those is there.
    """
    prompts = read_prompts(captions, None)
    if count is not None:
        prompts = tuple(sampled(prompts)[:count])
    if any(prompt.reference is None for prompt in prompts):
        raise BenchError(
            f"--captions {captions}: a caption needs the image it belongs to: a column `image_id` or `file_name`, or "
            "COCO's own JSON."
        )
    if not images.is_dir():
        raise BenchError(f"--images {images}: there is no such folder.")
    pairs = _pair(prompts, images)
    if not pairs.paired:
        raise BenchError(f"--images {images}: not one of the {len(prompts)} captions' images is there.")
    digests = [(prompt.id, prompt.text, file_hash(path)) for prompt, path in pairs.paired]
    entries = [{"id": p.id, "prompt": p.text, "file": str(path.relative_to(images))} for p, path in pairs.paired]
    index = {
        "images": str(images.resolve()),
        "source": captions,
        "hash": content_key(reference=digests),
        "captions": entries,
        **pairs.left_out,
        "no image": [path.name for path in other_files(images)],
    }
    write_json(folder / INDEX, index)
    return index


def extract(folder: Path, encoder: Encoder) -> tuple[int, int]:
    """Extract and keep one encoder's features of a prepared reference; (images, width)."""
    images, width = open_reference(folder).features(encoder).shape
    return images, width


def extract_all(folder: Path, encoders: Sequence[Any]) -> list[str]:
    """Extract by every encoder that can be had; a line on each. `encoders` are functions that load one."""
    lines = []
    for load in encoders:
        try:
            encoder = load()
            images, width = extract(folder, encoder)
            lines.append(f"{encoder.name}: {images} images × {width} features")
        except NotScored as reason:
            lines.append(f"left out: {reason}")
    return lines


@dataclass(frozen=True)
class _Pairs:
    """Captions with their files, and by reason the names of what has no counterpart."""

    paired: list[tuple[Prompt, Path]]
    left_out: dict[str, list[str]]


def _pair(prompts: Sequence[Prompt], root: Path) -> _Pairs:
    """Each image with its first caption.

    A file name is looked up below the folder as it stands, or without folders where that is unique; an id as the last
    number in a file's name, as in COCO_val2014_000000203564.jpg.
    """
    by_name: dict[str, list[Path]] = {}
    by_id: dict[int, list[Path]] = {}
    files = image_files(root)
    for path in files:
        for name in {path.name, path.relative_to(root).as_posix()}:
            by_name.setdefault(name, []).append(path)
        if digits := re.findall(r"[0-9]+", path.stem):
            by_id.setdefault(int(digits[-1]), []).append(path)
    paired: list[tuple[Prompt, Path]] = []
    left_out: dict[str, list[str]] = {"missing": [], "unreadable": [], "further caption": []}
    claimed: set[Path] = set()
    for prompt in prompts:
        name = str(prompt.reference)
        found = by_id.get(int(name), []) if is_number(name) else by_name.get(name, [])
        if len(found) > 1:
            raise BenchError(f"--images {root}: both {found[0]} and {found[1]} could be the image {name}. Remove one.")
        if not found:
            left_out["missing"].append(name)
        elif found[0] in claimed:
            left_out["further caption"].append(prompt.id)
        elif isinstance(image := read_image(found[0]), Unreadable):
            left_out["unreadable"].append(str(image))
        else:
            paired.append((prompt, found[0]))
        claimed.update(found)
    left_out["without a caption"] = [path.name for path in files if path not in claimed]
    return _Pairs(paired, left_out)
