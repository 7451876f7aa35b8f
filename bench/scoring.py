"""What a metric is, and what it is given: image sets with ids, and features that are extracted once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

if TYPE_CHECKING:
    from erasebench.prompts.concepts import Concept

    from .generate import Job

Better = Literal["higher", "lower"]


class NotApplicable(Exception):
    """This metric has no value for this row; the message says why."""


@dataclass(frozen=True)
class ImageScores:
    """One value an image, in the image set's order; None where the image could not be scored.

    `note` names what the value depends on (detector, model, version); `qualifier` is what its heading must say
    besides; `details` is kept with the scores.
    """

    values: Sequence[float | None]
    note: str = ""
    qualifier: str = ""
    details: Sequence[Any] | None = None


@dataclass(frozen=True)
class SetScore:
    """One value for a whole set, with its 95 % interval where it has one, over n images."""

    value: float
    n: int
    low: float | None = None
    high: float | None = None
    note: str = ""
    qualifier: str = ""


class Vision(Protocol):
    """A model that embeds images and texts in one space."""

    name: str
    qualifier: str  # what a heading says of scores by this model; "" for the field's usual one

    def image_features(self, images: Sequence[np.ndarray], batch_size: int = 64) -> np.ndarray: ...
    def text_features(self, texts: Sequence[str], batch_size: int = 64) -> np.ndarray: ...


@dataclass
class ImageSet:
    """The images of one row and prompt set, aligned with their prompts.

    Attributes:
        row: "original", a method or "reference".
        name: the prompt set.
        folder: where the PNG files lie.
        jobs: one for each image, with prompt ids and texts.
        key: a hash of everything that the images depend on.
        paths: the files, for images of the user's own that have no jobs.
    """

    row: str
    name: str
    folder: Path
    jobs: Sequence[Job]
    key: str
    paths: Sequence[Path] | None = None
    _features: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def files(self) -> list[Path]:
        return list(self.paths) if self.paths is not None else [self.folder / job.file_name for job in self.jobs]

    @cached_property
    def arrays(self) -> list[np.ndarray]:
        """All images as uint8 RGB arrays."""
        from .generate import read_png

        return [read_png(file) for file in self.files]

    def features(self, vision: Vision) -> np.ndarray:
        """The images' embeddings by a vision model, extracted once."""
        if vision.name not in self._features:
            self._features[vision.name] = vision.image_features(self.arrays)
        return self._features[vision.name]


@dataclass
class ScoringContext:
    """What a metric may use beside the images that it scores.

    Attributes:
        concept: what is erased.
        row: the row's name.
        original: the original model's images of the same prompts and seeds.
        reference: real images of the same prompts, or None where there are none.
        judge: the embedded model's judge, or None for other models.
        clip: the model for CLIP scores.
        distance: the features for FID and KID.
        costs: one training cost for each seed; empty for rows that train nothing.
    """

    concept: Concept
    row: str
    original: ImageSet | None
    reference: ImageSet | None
    judge: Any
    clip: Callable[[], Vision]
    distance: Callable[[], Vision]
    costs: Sequence[dict[str, Any]]


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
    """

    label: str
    better: Better
    prompts: str | None
    score: ScoreFunction
    digits: int = 3
    with_reference: bool = False
    version: int = 1


def metric(
    label: str,
    better: Better,
    prompts: str | None,
    digits: int = 3,
    with_reference: bool = False,
    version: int = 1,
) -> Callable[[ScoreFunction], Metric]:
    """Register a function as a metric under its own name."""

    def register(score: ScoreFunction) -> Metric:
        return Metric(label, better, prompts, score, digits, with_reference, version)

    return register
