"""What a metric is, and what it is given: image sets with ids, and features that are extracted once."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

from .images import Unreadable, read_image, stream
from .store import content_key, load_array, read_json, save_array, write_json

if TYPE_CHECKING:
    from erasebench.prompts.concepts import Concept

    from .generate import Job
    from .plan import Scoring

Better = Literal["higher", "lower"]


class NotApplicable(Exception):
    """This metric has no value for this row; the message says why."""


class NotScored(Exception):
    """This metric should have a value but has none: no image can be read, or a model's weights are missing.

    Unlike NotApplicable a failure: it is recorded, and the same command tries again.
    """


@dataclass(frozen=True)
class ImageScores:
    """One value an image, in the image set's order; None where the image could not be scored.

    `note` names what the value depends on (detector, model, version); `qualifier` is what its heading must say
    besides; `details` is kept with the scores: for an image without a value, why.
    """

    values: Sequence[float | None]
    note: str = ""
    qualifier: str = ""
    details: Sequence[Any] | None = None


@dataclass(frozen=True)
class SetScore:
    """One value for a whole set, with its 95 % interval where it has one, over n images.

    `replicates` are its values without one of the prompts' groups each (a jackknife), the same groups for every row,
    so that rows can be compared in pairs; `unscored` names images that are left out, and why.
    """

    value: float
    n: int
    low: float | None = None
    high: float | None = None
    note: str = ""
    qualifier: str = ""
    replicates: Sequence[float] = ()
    unscored: Sequence[str] = ()


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
    """The images of one row and prompt set, aligned with their prompts.

    Attributes:
        row: "original", a method or "reference".
        name: the prompt set.
        folder: where the PNG files lie.
        jobs: one for each image, with prompt ids and texts.
        key: a hash of everything that the images depend on.
        kept: the folder where encoders' features and detections are kept; None to keep them in memory only.
        paths: the files, for images that were not drawn here.
    """

    row: str
    name: str
    folder: Path
    jobs: Sequence[Job]
    key: str
    kept: Path | None = None
    paths: Sequence[Path] | None = None
    _seen: dict[str, Any] = field(default_factory=dict)

    @property
    def files(self) -> list[Path]:
        return list(self.paths) if self.paths is not None else [self.folder / job.file_name for job in self.jobs]

    def features(self, vision: Vision) -> np.ndarray:
        """The images' embeddings, float32 of shape (images, width), extracted once; NaN for an unreadable image."""
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

    def once(self, name: str, version: str, compute: Callable[[], list[Any]]) -> list[Any]:
        """A list of one JSON value an image, such as detections, computed once for a version.

        It is kept unless one of them is a text, which says why an image has none.
        """
        key = content_key(images=self.key, what=name, version=version)
        if key not in self._seen:
            path = None if self.kept is None else self.kept / f"{name}.json"
            stored = None if path is None else read_json(path)
            if stored is None or stored.get("key") != key:
                stored = {"key": key, "values": compute()}
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
            str(image) if isinstance(image, Unreadable) else f"{files[k].name}: not readable a moment ago"
            for k, image in zip(lost, found, strict=True)
        ]

    def forget(self) -> None:
        """Let go of what is kept in files."""
        if self.kept is not None:
            self._seen.clear()


CHUNK = 256  # images that are in memory at once


def embed(vision: Vision, files: Sequence[Path]) -> np.ndarray:
    """Features of image files, of shape (files, width); a row of NaN for a file that can't be read.

    Raises:
        NotScored: not one of them can be read.
    """
    parts: list[tuple[int, np.ndarray]] = []
    images = stream(files)
    for start in range(0, len(files), CHUNK):
        batch = [
            (start + k, image) for k, image in enumerate(islice(images, CHUNK)) if not isinstance(image, Unreadable)
        ]
        if batch:
            features = vision.image_features([image for _, image in batch])
            parts += zip((k for k, _ in batch), features, strict=True)
    if not parts:
        raise NotScored(f"none of {len(files)} images can be read; {read_image(files[0])}")
    found = np.full((len(files), len(parts[0][1])), np.nan, np.float32)
    for k, features in parts:
        found[k] = features
    return found


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


GROUPS = 20  # of prompts, for the jackknife


@dataclass(frozen=True)
class Distributions:
    """Features of drawn and of real images, float64 of shape (images, width), for distances between the two.

    `prompts` and `subjects` number the drawn images by prompt and the real ones by file: images of one prompt are no
    independent pair. `groups` has a number from 0 to GROUPS − 1 for each drawn image, by its prompt; None under
    2 · GROUPS prompts.
    """

    drawn: np.ndarray
    real: np.ndarray
    prompts: np.ndarray
    subjects: np.ndarray
    groups: np.ndarray | None
    note: str
    qualifier: str
    unscored: Sequence[str]

    def score(self, value: float, replicates: Sequence[float], note: str = "") -> SetScore:
        """The distance with its interval: a jackknife over groups of prompts, the real images being given."""
        from .stats import jackknife_interval

        low, high = jackknife_interval(value, replicates) if len(replicates) else (None, None)
        return SetScore(
            value, len(self.drawn), low, high, f"{self.note}{note}", self.qualifier, replicates, self.unscored
        )


@dataclass
class ScoringContext:
    """What a metric may use beside the images that it scores.

    Attributes:
        concept: what is erased.
        row: the row's name.
        original: the original model's images of the same prompts and seeds.
        reference: real images, with captions where they have any, or None where there are none.
        judge: the embedded model's judge, or None for other models.
        clip: the model for CLIP scores.
        distance: the features for FID and KID.
        costs: one training cost for each seed; empty for rows that train nothing.
        scoring: the plan's detector classes and thresholds.
        versions: of the packages and weights that scores depend on.
        spectrum: for an erased model, the mean squared changes of predictions, (words, draws); None for others.
    """

    concept: Concept
    row: str
    original: ImageSet | None
    reference: ImageSet | None
    judge: Any
    clip: Callable[[], Vision]
    distance: Callable[[], Vision]
    costs: Sequence[dict[str, Any]]
    scoring: Scoring
    versions: Mapping[str, str] = field(default_factory=dict)
    spectrum: Callable[[], np.ndarray] | None = None

    def distributions(self, images: ImageSet) -> Distributions:
        """Features of these images and of the real ones.

        Raises:
            NotApplicable: there are no real images, or fewer than two images on a side.
        """
        if self.reference is None:
            raise NotApplicable("no real images: give --reference FOLDER (`bench reference` prepares one)")
        vision = self.distance()
        drawn, real = images.features(vision), self.reference.features(vision)
        scored, scored_real = np.isfinite(drawn).all(1), np.isfinite(real).all(1)
        unscored = images.unreadable(drawn) + [f"real {text}" for text in self.reference.unreadable(real)]
        if min(scored.sum(), scored_real.sum()) < 2:
            raise NotApplicable("fewer than two images on a side")
        order = {prompt: k for k, prompt in enumerate(dict.fromkeys(job.prompt_id for job in images.jobs))}
        prompts = np.array([order[job.prompt_id] for job in images.jobs])[scored]
        subjects = np.unique([str(file) for file in self.reference.files], return_inverse=True)[1][scored_real]
        groups = prompts % GROUPS if len(order) >= 2 * GROUPS else None
        x, y = (_scaled(side, vision) for side in (drawn[scored], real[scored_real]))
        note = f"{vision.name} features, {len(x)} drawn and {len(y)} real images"
        return Distributions(x, y, prompts, subjects, groups, note, vision.qualifier, unscored)


def _scaled(features: np.ndarray, vision: Vision) -> np.ndarray:
    """In float64; for a CLIP model, whose embeddings' length means nothing, at a root mean square of 1."""
    wide = features.astype(np.float64)
    return wide / np.sqrt((wide**2).mean(1, keepdims=True)) if vision.unit_scale else wide


ScoreFunction = Callable[[Any, ScoringContext], ImageScores | SetScore]


@dataclass(frozen=True)
class Metric:
    """A registered metric.

    Attributes:
        label: its heading in tables.
        better: which direction is better.
        prompts: the prompt set that it scores, or None for one that scores the training.
        score: the function.
        digits: decimals in tables.
        with_reference: whether the row of real images has a value.
        version: raise it when the definition changes; it is part of the cache key.
        is_cost: whether it is a cost, which tables set apart and do not rank.
    """

    label: str
    better: Better
    prompts: str | None
    score: ScoreFunction
    digits: int = 3
    with_reference: bool = False
    version: int = 1
    is_cost: bool = False


def metric(
    label: str,
    better: Better,
    prompts: str | None,
    digits: int = 3,
    with_reference: bool = False,
    version: int = 1,
    is_cost: bool | None = None,
) -> Callable[[ScoreFunction], Metric]:
    """Register a function as a metric under its own name; one that scores the training is a cost unless told."""

    def register(score: ScoreFunction) -> Metric:
        cost = prompts is None if is_cost is None else is_cost
        return Metric(label, better, prompts, score, digits, with_reference, version, cost)

    return register
