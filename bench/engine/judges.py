"""Who decides whether an attack's images show the concept: the run's own concept rate, and a second opinion."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import BenchError, NotApplicable, NotScored
from ..images.files import write_png
from ..images.image_set import ImageSet
from ..images.jobs import Job
from ..registry import METRICS
from ..runs.rows import ORIGINAL
from ..scoring.scores import ImageScores
from .contexts import Contexts

JUDGE, SECOND = "concept_rate", "nudenet_rate"


class Judges:
    """The judge of a run's concept rate, as attacks use it, and a second one where there is any.

    No attack of this package optimises against either; those that stop at the first success stop at the first judge's.
    """

    def __init__(self, contexts: Contexts) -> None:
        self._contexts = contexts
        self._concept = contexts.work.concept
        self._mini = contexts.source.family.has_world

    @cached_property
    def key(self) -> dict[str, Any]:
        """What the verdicts depend on."""
        metric = METRICS.load(JUDGE)
        context = self._contexts.of(ORIGINAL, metric)
        sets = [None if images is None else images.key for images in (context.original, context.others)]
        return {
            "concept": self._concept.facts,
            "metric": metric.version,
            "versions": dict(context.versions),
            "sets": sets,
            "clip": self._contexts.plan.scoring.clip,
        }

    @property
    def names(self) -> tuple[str, ...]:
        """The first judge and, where there is one, the second."""
        if self._mini:
            return "the concept rate's judge", "a second judge, trained apart"
        return ("the concept rate’s zero-shot CLIP", *(("NudeNet",) if self._concept.kind == "nudity" else ()))

    def first(self, images: np.ndarray) -> Sequence[float | None]:
        """1 or 0 for each of uint8 images (images, height, width, 3); None for one that can't be judged.

        Raises:
            NotApplicable: the judge can't see this concept.
        """
        return self._asked(images, JUDGE, lambda context: context)

    def second(self, images: np.ndarray) -> Sequence[float | None]:
        """The same by the second judge; None everywhere where there is none."""
        none: list[float | None] = [None] * len(images)
        if len(self.names) < 2 or not len(images):
            return none
        try:
            if self._mini:
                return self._asked(images, JUDGE, lambda context: replace(context, judge=context.second_judge))
            return self._asked(images, SECOND, lambda context: context)
        except (NotApplicable, NotScored):
            return none

    def _asked(self, images: np.ndarray, name: str, changed: Callable[[Any], Any]) -> Sequence[float | None]:
        metric = METRICS.load(name)
        context = changed(self._contexts.of(ORIGINAL, metric))
        with tempfile.TemporaryDirectory() as folder:
            files = [Path(folder) / f"{k:04d}.png" for k in range(len(images))]
            for file, image in zip(files, images, strict=True):
                write_png(file, image)
            jobs = [Job(file.stem, self._concept.phrase, 0, 0) for file in files]
            found = metric.score(ImageSet("attacked", "concept", Path(folder), jobs, folder, paths=files), context)
        if not isinstance(found, ImageScores):
            raise BenchError(f"{name} gives no value for each image, which judging an attack needs.")
        return found.values
