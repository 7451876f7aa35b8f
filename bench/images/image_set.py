"""Images with their prompts, and what encoders and detectors saw in them: extracted once, streamed, kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np

from ..errors import NotApplicable, NotScored
from ..storage.arrays import load_array, save_array
from ..storage.files import read_json, write_json
from ..storage.keys import content_key
from ..storage.store import Busy, Entry, Store
from .files import Unreadable, read_image, stream
from .shards import Shard, pieces_of

if TYPE_CHECKING:
    from .jobs import Job


class Encoder(Protocol):
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
        own_key: of images that are not drawn, a hash of all that they depend on; of others "".
        store: where images, encoders' features and detections are kept; None to keep them in memory only.
        paths: the files, for images that were not drawn here.
        training: the seed of the training that drew them; None where no seed changes anything (the original, real
            images, closed forms) and for a set of several trainings.
        parts: of a set of several trainings, the set of each; all have the same jobs.
        drawn: of images to draw, in which shards.
        made_from: of images to draw, what all of them depend on, in words for people.
        known: of images that are not here, what encoders saw in them, by the encoder's revision.
        elsewhere: of images to draw, other devices than the planned one that some may have been drawn on.
    """

    row: str
    name: str
    folder: Path
    jobs: Sequence[Job]
    own_key: str
    store: Store | None = None
    paths: Sequence[Path] | None = None
    training: int | None = None
    parts: Sequence[ImageSet] = ()
    drawn: tuple[Shard, ...] = ()
    made_from: Mapping[str, Any] = field(default_factory=dict)
    known: Mapping[str, np.ndarray] = field(default_factory=dict)
    elsewhere: Sequence[str] = ()
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
        """A hash of everything that the images depend on, with the batch sizes that they were drawn in."""
        return self._key(self.key_of)

    @property
    def planned_key(self) -> str:
        """The same for the batch sizes that are planned."""
        return self._key(lambda shard: shard.key)

    def _key(self, key_of: Callable[[Shard], str]) -> str:
        if self.parts:
            return content_key(trainings=[part._key(key_of) for part in self.parts])
        if not self.drawn:
            return self.own_key
        return content_key(shards=[key_of(shard) for shard in self.drawn], prompts=self._prompts)

    @cached_property
    def _prompts(self) -> str:
        return content_key(prompts=[(job.prompt_id, job.cluster, job.sample) for job in self.jobs])

    def key_of(self, shard: Shard) -> str:
        """The key under which a shard's images are kept; the planned one where there are none yet."""
        found = self._made(shard)
        return shard.key if found is None else found[2]

    def entry(self, key: str) -> Entry | None:
        """Images in the store."""
        return None if self.store is None else self.store.find("images", key)

    def batch_of(self, shard: Shard) -> int:
        """How many of a shard's images were drawn together; the planned number where none are drawn yet."""
        found = self._made(shard)
        return next(iter(shard.keys)) if found is None else found[1]

    def device_of(self, shard: Shard) -> str | None:
        """The device that a shard's images were drawn on, where it is another than the planned one."""
        found = self._made(shard)
        return None if found is None else found[0]

    def _made(self, shard: Shard) -> tuple[str | None, int, str] | None:
        """A shard's images in the store: device where it is another, batch size and key; None where there are none."""
        for device in (None, *self.elsewhere):
            for batch, key in shard.on(device).keys.items():
                if self.entry(key):
                    return device, batch, key
        return None

    @property
    def is_drawn(self) -> bool:
        """Whether the store has every image."""
        return all(self._made(shard) for shard in self.drawn)

    @property
    def is_thinned(self) -> bool:
        """Whether images were taken away once they had been scored."""
        entries = (self.entry(self.key_of(shard)) for shard in self.drawn)
        return any(entry is not None and entry.removed for entry in entries)

    @property
    def each(self) -> Sequence[ImageSet]:
        """The sets of each training: this one, where it is no joined one."""
        return self.parts or (self,)

    @property
    def trainings(self) -> list[int | None]:
        """The training seed of each image."""
        return [part.training for part in self.each for _ in part.jobs]

    @cached_property
    def files(self) -> list[Path]:
        """The images' files in the jobs' order."""
        if self.parts:
            return [file for part in self.parts for file in part.files]
        if self.paths is not None:
            return list(self.paths)
        return [Path(self.path(place)) for place in range(len(self.jobs))]

    def path(self, place: int) -> str:
        """One of the `files` of drawn images, as text, without making a `Path` of each."""
        folder = self.folder if len(self.jobs) <= IN_A_FOLDER else f"{self.folder}/{place // IN_A_FOLDER:03d}"
        return f"{folder}/{self.jobs[place].file_name}"

    @property
    def shards(self) -> tuple[Shard, ...]:
        """In which pieces encoders and detectors see the images."""
        return self.drawn or pieces_of(self.own_key, len(self.files), PIECE)

    def partners(self, other: ImageSet) -> list[Path]:
        """For each image the file of `other` of the same prompt and noise, such as the original's."""
        files = {(job.prompt_id, job.sample): file for job, file in zip(other.jobs, other.files, strict=True)}
        return [files[job.prompt_id, job.sample] for job in self.jobs]

    def features(self, encoder: Encoder) -> np.ndarray:
        """The images' embeddings, float32 of shape (images, width), extracted once; NaN for an unreadable image.

        Raises:
            NotScored: not one of them can be read.
            NotApplicable: the images are not here, and what this encoder would see in them is not known.
        """
        if self.known:
            if encoder.revision not in self.known:
                raise NotApplicable(f"what {encoder.name} would see in the {self.row} images is not in the package")
            return self.known[encoder.revision]
        if self.parts:
            return _joined([(len(part.jobs), partial(part.features, encoder)) for part in self.parts])
        pieces = [(len(shard.places), partial(self.features_of, shard, encoder)) for shard in self.shards]
        order = np.argsort([place for shard in self.shards for place in shard.places])
        found: np.ndarray = _joined(pieces)[order]
        return found

    def features_of(self, shard: Shard, encoder: Encoder) -> np.ndarray:
        """The same for one shard, in its own order."""
        key = self._features_key(shard, encoder)

        def compute() -> tuple[np.ndarray, bool]:
            found = embed(encoder, [self.files[place] for place in shard.places])
            return found, bool(np.isfinite(found).all())  # an unreadable image may be mended

        return self._kept("features", key, shard, compute, save_array, load_array)

    def _features_key(self, shard: Shard, encoder: Encoder) -> str:
        return content_key(images=self.key_of(shard), encoder=encoder.name, revision=encoder.revision)

    def has_features(self, encoder: Encoder) -> bool:
        """Whether the features of every image are known, or in the store."""
        return bool(self.known) or all(
            self._stores("features", self._features_key(shard, encoder)) for shard in self.shards
        )

    def known_through(self, encoder: Encoder) -> dict[str, Any]:
        """What was computed from these features, by name, to be read and added to; it is kept in memory only."""
        key = content_key(images=self.key, encoder=encoder.name, revision=encoder.revision, what="computed")
        found: dict[str, Any] = self._seen.setdefault(key, {})
        return found

    def cached(self, name: str, version: str, compute: Callable[[Sequence[Path]], list[Any]]) -> list[Any]:
        """A list of one JSON value an image, such as detections, computed from files once for a version.

        It is kept unless one of them is a text, which says why an image has none.
        """
        if self.parts:
            return [value for part in self.parts for value in part.cached(name, version, compute)]
        found: list[Any] = [None] * len(self.files)
        for shard in self.shards:
            for place, value in zip(shard.places, self.cached_of(shard, name, version, compute), strict=True):
                found[place] = value
        return found

    def cached_of(
        self, shard: Shard, name: str, version: str, compute: Callable[[Sequence[Path]], list[Any]]
    ) -> list[Any]:
        """The same for one shard, in its own order."""
        key = self._cached_key(shard, name, version)

        def computed() -> tuple[list[Any], bool]:
            values = compute([self.files[place] for place in shard.places])
            return values, not any(isinstance(value, str) for value in values)

        return self._kept("values", key, shard, computed, _save_values, _load_values)

    def _cached_key(self, shard: Shard, name: str, version: str) -> str:
        return content_key(images=self.key_of(shard), what=name, version=version)

    def has_cached(self, name: str, version: str) -> bool:
        """Whether the store has the `cached` values of every image."""
        return all(self._stores("values", self._cached_key(shard, name, version)) for shard in self.shards)

    def _stores(self, kind: str, key: str) -> bool:
        return self.store is not None and self.store.find(kind, key) is not None

    def _kept(
        self,
        kind: str,
        key: str,
        shard: Shard,
        compute: Callable[[], tuple[Kept, bool]],
        save: Callable[[Path, Kept, str], None],
        load: Callable[[Path, str], Kept | None],
    ) -> Kept:
        """What was computed of a shard under a key; it is stored where `compute` says that it may be."""
        if key in self._seen:
            known: Kept = self._seen[key]
            return known
        entry = None if self.store is None else self.store.find(kind, key)
        stored = None if entry is None else load(entry.file(kind), key)
        if stored is not None:
            self._seen[key] = stored
            return stored
        found, whole = compute()
        if self.store is not None and whole:
            with suppress(Busy), self.store.making(kind, key) as folder:  # whoever makes it keeps the same
                save(folder / kind, found, key)
                self.store.put(kind, key, {}, of=[shard.key])
        self._seen[key] = found
        return found

    def unreadable(self, features: np.ndarray) -> list[str]:
        """The files without features, each with the reason."""
        lost, files = np.flatnonzero(~np.isfinite(features).all(1)), self.files
        found = [read_image(files[k]) for k in lost]
        return [
            str(image) if isinstance(image, Unreadable) else f"{files[k].name}: the encoder gave no features"
            for k, image in zip(lost, found, strict=True)
        ]

    def alone(self, shard: Shard) -> ImageSet:
        """One shard's images as a set: what is kept of them is kept of the whole set."""
        files, own = (
            [self.files[place] for place in shard.places],
            replace(shard, places=tuple(range(len(shard.places)))),
        )
        jobs = [self.jobs[place] for place in shard.places] if self.jobs else []
        return replace(self, jobs=jobs, paths=files, drawn=(own,), _seen={})

    def forget(self) -> None:
        """Let go of what is kept in the store."""
        for part in self.parts:
            part.forget()
        if self.store is not None:
            self._seen.clear()


IN_A_FOLDER = 1000  # images of a run at most: of a larger set they lie in folders 000, 001, …
PIECE = 256  # images that are not drawn, in a shard
Kept = TypeVar("Kept")


def _joined(parts: Sequence[tuple[int, Callable[[], np.ndarray]]]) -> np.ndarray:
    """Features of all parts, each given as its number of images and a function; NaN for a part that can't be read.

    Raises:
        NotScored: that is so for every part.
    """
    found: list[np.ndarray | None] = []
    for _, features in parts:
        try:
            found.append(features())
        except NotScored as error:
            found.append(None)
            reason = error
    width = next((features.shape[1] for features in found if features is not None), None)
    if width is None:
        raise reason if parts else NotScored("there is no image")
    return np.concatenate(
        [
            np.full((count, width), np.nan, np.float32) if features is None else features
            for (count, _), features in zip(parts, found, strict=True)
        ]
    )


def _save_values(path: Path, values: list[Any], key: str) -> None:
    write_json(path, {"key": key, "values": values})


def _load_values(path: Path, key: str) -> list[Any] | None:
    stored = read_json(path) or {}
    return list(stored["values"]) if stored.get("key") == key else None


CHUNK = 256  # images that are in memory at once


def embed(encoder: Encoder, files: Sequence[Path]) -> np.ndarray:
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
            features = encoder.image_features([image for _, image in batch]) if batch else ()
            parts += zip((k for k, _ in batch), features, strict=True)
        except Exception:  # noqa: BLE001  (any encoder's; one by one, so that only the culprit is lost)
            for k, image in batch:
                try:
                    parts.append((k, encoder.image_features([image])[0]))
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
