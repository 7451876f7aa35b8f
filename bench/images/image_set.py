"""Images with their prompts, and what encoders and detectors saw in them: extracted once, streamed, kept."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ..errors import NotScored
from ..storage.arrays import load_array, save_array
from ..storage.files import read_json, write_json
from ..storage.keys import content_key
from .files import Unreadable, read_image, stream

if TYPE_CHECKING:
    from .jobs import Job


class Vision(Protocol):
    """A model that embeds images and texts in one space.

    Attributes:
        name: with its weights, as notes print it.
        revision: a hash or version; part of every key.
        qualifier: what a heading says of scores by this model; "" for the field's usual one.
        unit_scale: whether features are scaled to a root mean square of 1 before distances are taken.
    """

    name: str
    revision: str
    qualifier: str
    unit_scale: bool

    def image_features(self, images: Sequence[np.ndarray], batch_size: int = 64) -> np.ndarray: ...
    def text_features(self, texts: Sequence[str], batch_size: int = 64) -> np.ndarray: ...
    def truncated(self, texts: Sequence[str]) -> int: ...


@dataclass
class ImageSet:
    """The images of one row and prompt set, aligned with their prompts: those of each training, one after the other.

    Attributes:
        row: "original", a method or "reference".
        name: the prompt set.
        folder: where the PNG files lie.
        jobs: one for each image, with prompt ids and texts.
        own_key: a hash of everything that the images depend on; of a joined set, "".
        kept: the folder where encoders' features and detections are kept; None to keep them in memory only.
        paths: the files, for images that were not drawn here.
        training: the seed of the training that drew them; None where no seed changes anything (the original, real
            images, closed forms) and for a set of several trainings.
        parts: of a set of several trainings, the set of each; all have the same jobs.
        keys: of images to draw, the key by batch size, the planned one first and then its halves.
        made_from: what the key is a hash of, for the planned batch size.
    """

    row: str
    name: str
    folder: Path
    jobs: Sequence[Job]
    own_key: str
    kept: Path | None = None
    paths: Sequence[Path] | None = None
    training: int | None = None
    parts: Sequence[ImageSet] = ()
    keys: Mapping[int, str] = field(default_factory=dict)
    made_from: Mapping[str, Any] = field(default_factory=dict)
    _seen: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def joined(cls, parts: Sequence[ImageSet]) -> ImageSet:
        """One set of the images of several trainings; of one, that itself."""
        if len(parts) == 1:
            return parts[0]
        first = parts[0]
        jobs = [job for part in parts for job in part.jobs]
        return cls(first.row, first.name, first.folder.parent, jobs, "", parts=parts)

    @property
    def key(self) -> str:
        """A hash of everything that the images depend on."""
        return content_key(trainings=[part.key for part in self.parts]) if self.parts else self.own_key

    @property
    def batch_size(self) -> int:
        """How many images are drawn together; 0 where none are."""
        return next((batch for batch, key in self.keys.items() if key == self.own_key), 0)

    @property
    def planned_batch(self) -> int:
        """How many images were to be drawn together; 0 where none are."""
        return max(self.keys, default=0)

    def take(self, key: str) -> bool:
        """Make a key the set's own, if it is one for another batch size."""
        if key in self.keys.values():
            self.own_key = key
        return key == self.own_key

    def halve(self) -> bool:
        """Take the key of half the batch; False where a batch is one image already."""
        return self.take(self.keys.get(self.batch_size // 2, "none"))

    @property
    def each(self) -> Sequence[ImageSet]:
        """The sets of each training: this one, where it is no joined one."""
        return self.parts or (self,)

    @property
    def trainings(self) -> list[int | None]:
        """The training seed of each image."""
        return [part.training for part in self.each for _ in part.jobs]

    @property
    def files(self) -> list[Path]:
        if self.parts:
            return [file for part in self.parts for file in part.files]
        return list(self.paths) if self.paths is not None else [self.folder / job.file_name for job in self.jobs]

    def partners(self, other: ImageSet) -> list[Path]:
        """For each image the file of `other` of the same prompt and noise, such as the original's."""
        files = {(job.prompt_id, job.sample): file for job, file in zip(other.jobs, other.files, strict=True)}
        return [files[job.prompt_id, job.sample] for job in self.jobs]

    def features(self, vision: Vision) -> np.ndarray:
        """The images' embeddings, float32 of shape (images, width), extracted once; NaN for an unreadable image."""
        if self.parts:
            return _features_of_parts(self.parts, vision)
        key = content_key(images=self.key, encoder=vision.name, revision=vision.revision)
        if key not in self._seen:
            path = None if self.kept is None else self.kept / f"{_slug(vision.name)}.safetensors"
            found = None if path is None else load_array(path, key)
            if found is None:
                found = embed(vision, self.files)
                if path is not None and np.isfinite(found).all():  # an unreadable image may be mended
                    save_array(path, found, key)
            self._seen[key] = found
        features: np.ndarray = self._seen[key]
        return features

    def known_through(self, vision: Vision) -> dict[str, Any]:
        """What was computed from these features, by name, to be read and added to; it is kept in memory only."""
        key = content_key(images=self.key, encoder=vision.name, revision=vision.revision, what="computed")
        found: dict[str, Any] = self._seen.setdefault(key, {})
        return found

    def once(self, name: str, version: str, compute: Callable[[Sequence[Path]], list[Any]]) -> list[Any]:
        """A list of one JSON value an image, such as detections, computed from files once for a version.

        It is kept unless one of them is a text, which says why an image has none.
        """
        if self.parts:
            return [value for part in self.parts for value in part.once(name, version, compute)]
        key = content_key(images=self.key, what=name, version=version)
        if key not in self._seen:
            path = None if self.kept is None else self.kept / f"{name}.json"
            stored = None if path is None else read_json(path)
            if stored is None or stored.get("key") != key:
                stored = {"key": key, "values": compute(self.files)}
                if path is not None and not any(isinstance(value, str) for value in stored["values"]):
                    write_json(path, stored)
            self._seen[key] = stored["values"]
        values: list[Any] = self._seen[key]
        return values

    def unreadable(self, features: np.ndarray) -> list[str]:
        """The files without features, each with the reason."""
        lost, files = np.flatnonzero(~np.isfinite(features).all(1)), self.files
        found = [read_image(files[k]) for k in lost]
        return [
            str(image) if isinstance(image, Unreadable) else f"{files[k].name}: the encoder gave no features"
            for k, image in zip(lost, found, strict=True)
        ]

    def forget(self) -> None:
        """Let go of what is kept in files."""
        for part in self.parts:
            part.forget()
        if self.kept is not None:
            self._seen.clear()


def _features_of_parts(parts: Sequence[ImageSet], vision: Vision) -> np.ndarray:
    """All trainings' features; NaN for a training none of whose images can be read.

    Raises:
        NotScored: that is so for every training.
    """
    found: list[np.ndarray | None] = []
    for part in parts:
        try:
            found.append(part.features(vision))
        except NotScored as error:
            found.append(None)
            reason = error
    width = next((features.shape[1] for features in found if features is not None), None)
    if width is None:
        raise reason
    return np.concatenate(
        [
            np.full((len(part.jobs), width), np.nan, np.float32) if features is None else features
            for part, features in zip(parts, found, strict=True)
        ]
    )


CHUNK = 256  # images that are in memory at once


def embed(vision: Vision, files: Sequence[Path]) -> np.ndarray:
    """Features of image files, of shape (files, width); a row of NaN for a file that can't be read or encoded.

    Raises:
        NotScored: not one of them can be read.
        Exception: what the encoder raised, where it encodes not one of them.
    """
    parts: list[tuple[int, np.ndarray]] = []
    fault: Exception | None = None
    images = stream(files)
    for start in range(0, len(files), CHUNK):
        batch = [
            (start + k, image) for k, image in enumerate(islice(images, CHUNK)) if not isinstance(image, Unreadable)
        ]
        try:
            features = vision.image_features([image for _, image in batch]) if batch else ()
            parts += zip((k for k, _ in batch), features, strict=True)
        except Exception:  # noqa: BLE001  (any encoder's; one by one, so that only the culprit is lost)
            for k, image in batch:
                try:
                    parts.append((k, vision.image_features([image])[0]))
                except Exception as error:  # noqa: BLE001  (raised below unless other images fare better)
                    fault = error
    if not parts and fault is not None:
        raise fault
    if not parts:
        raise NotScored(f"none of {len(files)} images can be read; {read_image(files[0])}")
    found = np.full((len(files), len(parts[0][1])), np.nan, np.float32)
    for k, features in parts:
        found[k] = features
    return found


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
