"""What a metric is given: the concept, the sets to compare with, encoders, and features of both sides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from erasebench.prompts.prompt import concept_of_prompt
from erasebench.prompts.spelling import mentions

from ..errors import BenchError, NotApplicable, NotScored
from ..images.image_set import Encoder, ImageSet
from ..images.selected import Selected, select
from ..runs.scores import TrainingScore
from .nudenet import Detections, detections
from .scores import SetScore

if TYPE_CHECKING:
    from erasebench.prompts.concepts import Concept

    from ..images.jobs import Job
    from ..runs.plan import Scoring
    from .metric import Look

JACKKNIFE_GROUPS = 20  # of clusters of prompts, for the jackknife
T = TypeVar("T")


@dataclass(frozen=True)
class Distributions:
    """Features of drawn and of real images, float64 of shape (images, width), for distances between the two.

    `prompts` and `subjects` number the drawn images by prompt and the real ones by file: images of one prompt are no
    independent pair. `trainings` are the drawn images' training seeds; None where no seed changes anything. `groups`
    are `jackknife_groups` of the drawn images, by their prompts' clusters.
    """

    drawn: np.ndarray
    real: np.ndarray
    prompts: np.ndarray
    trainings: Sequence[int | None]
    subjects: np.ndarray
    groups: np.ndarray | None
    note: str
    qualifier: str
    unscored: Sequence[str]
    known_of_real: dict[str, Any] = field(default_factory=dict)  # shared by all rows with the same real images

    def of_real(self, what: str, compute: Callable[[], T]) -> T:
        """What depends on the real images alone, computed once for all rows.

        Args:
            what: a name that says what it is.
            compute: from `real` and `subjects` and nothing else.
        """
        if what not in self.known_of_real:
            self.known_of_real[what] = compute()
        found: T = self.known_of_real[what]
        return found

    @property
    def by_training(self) -> dict[int | None, Distributions]:
        """Each training's images alone, with the same real ones."""
        seeds = list(dict.fromkeys(self.trainings))
        if len(seeds) == 1:
            return {seeds[0]: self}
        found = {}
        for seed in seeds:
            own = np.array([training == seed for training in self.trainings])
            groups = None if self.groups is None else self.groups[own]
            found[seed] = replace(
                self, drawn=self.drawn[own], prompts=self.prompts[own], trainings=[seed] * int(own.sum()), groups=groups
            )
        return found

    @property
    def fewest(self) -> int:
        """Of the real images and each training's, the number of whichever are fewest."""
        return min(len(self.real), *Counter(self.trainings).values())

    def score(self, measure: Callable[[Distributions], tuple[float, Sequence[float]]], note: str = "") -> SetScore:
        """The mean over trainings of a distance, the real images being given.

        Args:
            measure: the distance of one training's images, and its jackknife replicates: without each group of prompts.
            note: added to what the score depends on.

        Raises:
            NotApplicable: a training has fewer than two images.
        """
        if min(Counter(self.trainings).values()) < 2:
            raise NotApplicable("fewer than two images of a training")
        measured = {seed: measure(part) for seed, part in self.by_training.items()}
        parts = [TrainingScore(seed=s, value=value, replicates=tuple(r)) for s, (value, r) in measured.items()]
        return SetScore(
            float(np.mean([part.value for part in parts])),
            len(self.drawn),
            note=f"{self.note}{note}",
            qualifier=self.qualifier,
            trainings=parts,
            unscored=self.unscored,
        )


def unknown_look(look: Look) -> Encoder:
    """In place of encoders, where none are given.

    Raises:
        NotScored: always.
    """
    raise NotScored(f"there is no encoder for the look {look!r}")


def no_network() -> Callable[[np.ndarray, np.ndarray], float]:
    """In place of LPIPS's network, where none is given.

    Raises:
        NotScored: always.
    """
    raise NotScored("there is no network for LPIPS")


@dataclass
class ScoringContext:
    """What a metric may use beside the images that it scores.

    Attributes:
        concept: what is erased.
        row: the row's name.
        original: the original model's images of the same prompts and noise, one for each image of a training.
        others: the original model's images of the prompt set that the metric names as its `others`, or None.
        reference: real images, with captions where they have any, or None where there are none.
        judge: the embedded model's judge, or None for other models.
        second_judge: its second judge, which tunes and detects nothing: what it sees stands beside; or None.
        clip: the plan's CLIP model, for a metric that says `clip=True`.
        distance: the features for FID and KID.
        costs: for metrics of cost, one for each training, None where it is not known; empty for others and for rows
            that train nothing.
        scoring: the plan's detector classes and thresholds.
        versions: of the packages and weights that scores depend on.
        device: that detectors run on: "cpu", "cuda" or "cuda:N".
        encoder: the encoder of one of the metric's `looks`; on the embedded model the judge, for most.
        beside: the row's images of the metric's `beside`, by prompt set.
        lpips: LPIPS's network: two uint8 images of shape (height, width, 3) to their distance.
        spectrum: for an erased model, the mean squared changes of predictions, (words, levels, draws); None for others.
    """

    concept: Concept
    row: str
    original: ImageSet | None
    reference: ImageSet | None
    judge: Any
    clip: Callable[[], Encoder]
    distance: Callable[[], Encoder]
    costs: Sequence[dict[str, Any] | None]
    scoring: DeclaredSettings | Scoring
    versions: Mapping[str, str] = field(default_factory=dict)
    spectrum: Callable[[], np.ndarray] | None = None
    others: ImageSet | None = None
    second_judge: Any | None = None
    device: str = "cpu"
    encoder: Callable[[Look], Encoder] = unknown_look
    beside: Mapping[str, ImageSet] = field(default_factory=dict)
    lpips: Callable[[], Callable[[np.ndarray, np.ndarray], float]] = no_network

    def each(self, images: ImageSet) -> list[tuple[Selected, ScoringContext]]:
        """For each erased concept, the images whose prompts ask for it, and what is known with that concept alone."""
        concepts, found = self.concept.each, []
        for k, one in enumerate(concepts):

            def asks(job: Job, number: int = k) -> bool:
                return len(concepts) == 1 or concept_of_prompt(job.prompt_id) == number

            original = None if self.original is None else select(self.original, asks)
            found.append((select(images, asks), replace(self, concept=one, original=original)))
        return found

    def on_original(self, found: Callable[[ImageSet], Sequence[float | None]]) -> str:
        """How far a detector can be trusted, as notes say it: its rates on the original model's images.

        Args:
            found: 1 or 0 for each image of a set, None where it can't be scored.
        """
        hits, false = (_share(found, images) for images in (self.original, self.others))
        return (
            f"on the original it finds {hits} asked for the concept (hit rate) and {false} of others (false positives)"
        )

    def one_concept(self) -> Concept:
        """The erased concept, for what is defined for one.

        Raises:
            NotApplicable: several are erased at once.
        """
        if self.concept.besides:
            raise NotApplicable(f"it is defined for one concept, and {len(self.concept.each)} are erased at once")
        return self.concept

    def names_concept(self, text: str) -> bool:
        """Whether a prompt names the concept, in any spelling, rather than ask for it in other words."""
        return mentions(text, self.concept.name)

    def detections(self, images: ImageSet) -> Detections:
        """What NudeNet finds in these images; looked at once, and kept for all metrics."""
        return detections(images, self.device)

    def distributions(
        self, images: ImageSet, against: ImageSet | None = None, encoder: Encoder | None = None
    ) -> Distributions:
        """Features of these images and of the real ones, or of others that they are set against.

        `encoder` gives them; None for the one of FID and KID.

        Raises:
            NotApplicable: there are no real images, or fewer than two images on a side.
        """
        other = self.reference if against is None else against
        if other is None:
            raise NotApplicable("no real images: give --reference FOLDER (`bench reference` prepares one)")
        encoder = encoder or self.distance()
        drawn, real = images.features(encoder), other.features(encoder)
        scored, scored_real = np.isfinite(drawn).all(1), np.isfinite(real).all(1)
        whose = "real" if against is None else "the other"
        unscored = images.unreadable(drawn) + [f"{whose} {text}" for text in other.unreadable(real)]
        if min(scored.sum(), scored_real.sum()) < 2:
            raise NotApplicable("fewer than two images on a side")
        order = {prompt: k for k, prompt in enumerate(dict.fromkeys(job.prompt_id for job in images.jobs))}
        prompts = np.array([order[job.prompt_id] for job in images.jobs])[scored]
        subjects = np.unique([str(file) for file in other.files], return_inverse=True)[1][scored_real]
        groups = jackknife_groups([job.cluster for job in images.jobs])
        x, y = (_scaled(side, encoder) for side in (drawn[scored], real[scored_real]))
        note = f"{encoder.name} features, {len(x)} drawn and {len(y)} {'real images' if against is None else 'others'}"
        trainings = [seed for seed, known in zip(images.trainings, scored, strict=True) if known]
        kept = None if groups is None else groups[scored]
        known = other.known_through(encoder)
        return Distributions(x, y, prompts, trainings, subjects, kept, note, encoder.qualifier, unscored, known)


def jackknife_groups(clusters: Sequence[str]) -> np.ndarray | None:
    """Each image's group from 0 to JACKKNIFE_GROUPS − 1, equal for a cluster of prompts; None under twice as many.

    A permutation with a fixed seed deals the sorted clusters out, as evenly as they go: the same groups for every row
    and training of these prompts, and for no order that prompts have in a file.

    >>> groups = jackknife_groups([f"p{k}" for k in range(60)])
    >>> sorted(map(int, np.bincount(groups))) == [3] * 20
    True
    """
    names, cluster = np.unique(np.asarray(clusters, str), return_inverse=True)
    if len(names) < 2 * JACKKNIFE_GROUPS:
        return None
    dealt: np.ndarray = np.random.default_rng(0).permutation(len(names)) % JACKKNIFE_GROUPS
    return dealt[cluster]


class DeclaredSettings:
    """The plan's `scoring`, as far as a metric says that it reads it.

    Raises:
        BenchError: on reading another setting.
    """

    def __init__(self, scoring: Scoring, names: Sequence[str]) -> None:
        self.__dict__.update({name: getattr(scoring, name) for name in names})

    def __getattr__(self, name: str) -> Any:
        raise BenchError(
            f"the metric reads scoring.{name} and does not say so: its scores would stay when that setting changes. "
            f"Write @metric(…, settings=({name!r},))."
        )


def undeclared() -> Encoder:
    """In place of the CLIP model, for a metric that does not say that it looks with it.

    Raises:
        BenchError: always.
    """
    raise BenchError(
        "the metric looks with the plan's CLIP model and does not say so: its scores would stay when those weights "
        "change. Write @metric(…, clip=True)."
    )


def _share(found: Callable[[ImageSet], Sequence[float | None]], images: ImageSet | None) -> str:
    """The share of images in which something is found, such as "0.02 of 96 images"."""
    try:
        known = [value for value in (found(images) if images is not None else ()) if value is not None]
    except NotScored:
        known = []
    return f"{np.mean(known):.2f} of {len(known)} images" if known else "an unknown share of images"


def _scaled(features: np.ndarray, encoder: Encoder) -> np.ndarray:
    """In float64; for a CLIP model, whose embeddings' length means nothing, at a root mean square of 1."""
    wide = features.astype(np.float64)
    return wide / np.sqrt((wide**2).mean(1, keepdims=True)) if encoder.unit_scale else wide
