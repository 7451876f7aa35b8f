"""What every metric must satisfy; `bench check` and the tests run the same list. It looks at small synthetic images."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from erasebench.prompts import ROLES
from erasebench.prompts.concepts import get_concept

from ..errors import Broken, NotApplicable, NotScored
from ..images.files import write_png
from ..images.image_set import Encoder, ImageSet
from ..images.jobs import Job
from ..runs.plan import Scoring
from .context import ScoringContext, undeclared
from .judge import Judge
from .metric import Metric
from .scores import ImageScores, SetScore
from .second_judge import SecondJudge

PROMPTS, SAMPLES, SIDE = 6, 2, 64
FEATURES = 8  # for distances, which need as many images
TOLERANCE = 1e-4  # sums in another order
COST = {
    "train_steps": 2,
    "train_seconds": 1.0,
    "forwards": 8,
    "forwards_with_gradient": 2,
    "peak_memory_mb": 64.0,
    "unet_forwards": 8,
    "workers": 1,
}
Result = ImageScores | SetScore


class FewFeatures:
    """The first features of an encoder alone, so that a few images suffice for a distance."""

    def __init__(self, encoder: Encoder, width: int) -> None:
        self.encoder, self.width = encoder, width
        self.name, self.revision = f"{encoder.name}, {width} features", f"{encoder.revision} {width}"
        self.qualifier, self.unit_scale = encoder.qualifier, encoder.unit_scale

    def image_features(self, images: Sequence[np.ndarray], batch_size: int = 64) -> np.ndarray:
        """Image embeddings of shape (images, width)."""
        return self.encoder.image_features(images, batch_size)[:, : self.width]

    def text_features(self, texts: Sequence[str], batch_size: int = 64) -> np.ndarray:
        """Text embeddings of shape (texts, width)."""
        return self.encoder.text_features(texts, batch_size)[:, : self.width]

    def truncated(self, texts: Sequence[str]) -> int:
        """How many texts the encoder cuts."""
        return self.encoder.truncated(texts)


@dataclass
class MetricSubject:
    """A metric, with an original's images and slightly different ones of a row to be scored."""

    metric: Metric

    def __post_init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory()  # removed with this object
        random = np.random.default_rng(0)
        jobs = [
            Job(f"p{k}", f"a photo of a {word}", sample, k)
            for k, word in enumerate(["cat", "dog", "bus", "tree", "house", "boat"][:PROMPTS])
            for sample in range(SAMPLES)
        ]
        plain = [random.integers(0, 256, (SIDE // 8, SIDE // 8, 3)).repeat(8, 0).repeat(8, 1) for _ in jobs]
        changed = [np.clip(image + random.integers(-40, 41, image.shape), 0, 255) for image in plain]
        self.original = self._stored("original", jobs, plain)
        self.images = self._stored("row", jobs, changed)
        self.reference = self._stored("reference", jobs, plain[::-1])

    def _stored(self, row: str, jobs: Sequence[Job], images: Sequence[np.ndarray]) -> ImageSet:
        found = ImageSet(row, "set", Path(self._folder.name) / row, jobs, row)
        for file, image in zip(found.files, images, strict=True):
            file.parent.mkdir(exist_ok=True)
            write_png(file, image.astype(np.uint8))
        return found

    def part(self, order: Sequence[int]) -> ImageSet:
        """Some of the row's images in another order, with nothing remembered."""
        jobs, files = self.images.jobs, self.images.files
        return ImageSet(
            "row", "set", self.images.folder, [jobs[k] for k in order], f"{order}", None, [files[k] for k in order]
        )

    @cached_property
    def judge(self) -> Judge:
        return Judge("cpu")

    @cached_property
    def second_judge(self) -> SecondJudge:
        return SecondJudge("cpu")

    def context(self) -> ScoringContext:
        """What a row of the embedded model is given."""
        return ScoringContext(
            concept=get_concept("garbage truck"),
            row="row",
            original=replace(self.original, _seen={}),
            others=replace(self.original, _seen={}),
            reference=replace(self.reference, _seen={}),
            judge=self.judge,
            second_judge=self.second_judge,
            clip=(lambda: self.judge) if self.metric.clip else undeclared,
            distance=lambda: FewFeatures(self.judge, FEATURES),
            costs=[COST],
            scoring=Scoring(),
            encoder=lambda look: self.judge,
            beside={role: replace(self.original, _seen={}) for role in self.metric.beside},
            spectrum=lambda: np.random.default_rng(0).random((32, 4, 2)),
        )

    def score(self, order: Sequence[int] | None = None) -> Result | None:
        """The metric's result; None where it says that it has none."""
        images = None if self.metric.prompts is None else self.part(order if order is not None else range(self.size))
        try:
            found: Any = self.metric.score(images, self.context())
        except (NotApplicable, NotScored):
            return None
        if not isinstance(found, ImageScores | SetScore):
            raise Broken(f"it returned {type(found).__name__}; return ImageScores or SetScore.")
        return found

    @property
    def size(self) -> int:
        return len(self.images.jobs)


def fields_are_declared(subject: MetricSubject) -> None:
    """Label, direction, prompt set, decimals and version are declared."""
    metric = subject.metric
    if not metric.label.strip():
        raise Broken("the label is empty.")
    if metric.better not in ("higher", "lower"):
        raise Broken(f"better is {metric.better!r}: higher or lower.")
    for role in (metric.prompts, metric.others, *metric.beside):
        if role is not None and role not in ROLES:
            raise Broken(f"the prompt set {role!r} is none of {', '.join(ROLES)}, or None to score the training.")
    if not (type(metric.version) is int and metric.version >= 1):
        raise Broken(f"version is {metric.version!r}: a whole number from 1 on, raised when the definition changes.")
    if not (type(metric.digits) is int and 0 <= metric.digits <= 10):
        raise Broken(f"digits is {metric.digits!r}: a whole number from 0 to 10.")


def it_says_what_it_measures(subject: MetricSubject) -> None:
    """The docstring says what is measured and in which range."""
    if len((subject.metric.score.__doc__ or "").split()) < 5:
        raise Broken("the docstring is missing or too short: say what is measured, its range and its source.")


def it_returns_scores(subject: MetricSubject) -> None:
    """It returns ImageScores with a value for each image, or a SetScore; all values are finite."""
    found = subject.score()
    if isinstance(found, ImageScores):
        if len(found.values) != subject.size:
            raise Broken(f"{len(found.values)} values for {subject.size} images: one an image, in their order.")
        if found.details is not None and len(found.details) != subject.size:
            raise Broken(
                f"{len(found.details)} details for {subject.size} images: one an image, None where there is none."
            )
        if found.second and len(found.second) != subject.size:
            raise Broken(f"{len(found.second)} values of a second judge for {subject.size} images: one an image.")
    for value in _values(found):
        if value is not None and not np.isfinite(value):
            raise Broken(f"a value is {value}: give None for an image that can't be scored, or raise NotApplicable.")
    if not isinstance(found, SetScore) or found.low is None or found.high is None:
        return
    if not found.low <= found.value <= found.high:
        raise Broken(f"the interval [{found.low}, {found.high}] leaves out the value {found.value}.")


def the_same_images_the_same_scores(subject: MetricSubject) -> None:
    """The same images give the same scores, to the last digit."""
    if _values(subject.score()) != _values(subject.score()):
        raise Broken("two calls differ: draw random numbers from a generator with a fixed seed.")


def neither_order_nor_company_matters(subject: MetricSubject) -> None:
    """Images in another order get the same scores, and each gets its own whatever is scored beside it."""
    order = list(range(subject.size))[::-1]
    found, turned = subject.score(), subject.score(order)
    if subject.metric.prompts is None or found is None or turned is None:
        return
    if isinstance(found, SetScore):
        _same(_values(found), _values(turned), "the images are in another order")
        return
    half = order[: subject.size // 2]
    _same([_values(found)[k] for k in order], _values(turned), "the images are in another order")
    _same([_values(found)[k] for k in half], _values(subject.score(half)), "half of the images are scored")


def a_missing_image_is_unscored(subject: MetricSubject) -> None:
    """An image that can't be read is unscored and named, never a zero; the others keep their scores."""
    if subject.metric.prompts is None:
        return
    before = subject.score()
    file = subject.images.files[1]
    kept = file.read_bytes()
    file.unlink()
    try:
        found = subject.score()
    finally:
        file.write_bytes(kept)
    if isinstance(found, SetScore) and not found.unscored:
        raise Broken(f"{file.name} is missing and `unscored` does not name it.")
    if not isinstance(found, ImageScores) or before is None:
        return
    if found.values[1] is not None:
        raise Broken(
            f"{file.name} is missing and has the value {found.values[1]}: give None, and the reason in details."
        )
    others = [k for k in range(subject.size) if k != 1]
    _same([_values(before)[k] for k in others], [found.values[k] for k in others], "another image is missing")


CHECKS: tuple[Callable[[MetricSubject], None], ...] = (
    fields_are_declared,
    it_says_what_it_measures,
    it_returns_scores,
    the_same_images_the_same_scores,
    neither_order_nor_company_matters,
    a_missing_image_is_unscored,
)


def _values(result: Result | None) -> list[float | None]:
    if result is None:
        return []
    return [result.value] if isinstance(result, SetScore) else list(result.values)


def _same(a: Sequence[float | None], b: Sequence[float | None], when: str) -> None:
    for x, y in zip(a, b, strict=True):
        if (x is None) != (y is None) or (x is not None and y is not None and abs(x - y) > TOLERANCE * max(1, abs(x))):
            raise Broken(f"a score is {y} where it was {x}, when {when}.")
