"""What a metric is: a registered function, and what it may return."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from .scoring import ScoringContext

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
class TrainingScore:
    """A set's score for the images of one training; `seed` is None for a model that was not trained.

    `replicates` are its values without one of the prompts' groups each (a jackknife), the same groups for every row
    and training, so that rows can be compared in pairs; empty where there are too few prompts.
    """

    seed: int | None
    value: float
    replicates: Sequence[float] = ()


@dataclass(frozen=True)
class SetScore:
    """One value for a whole set, over n images.

    With `trainings` its interval is over them and the groups of prompts, and `value` their mean; else it may bring an
    interval, and in `covers` what that is over. `unscored` names images that are left out, and why.
    """

    value: float
    n: int
    low: float | None = None
    high: float | None = None
    note: str = ""
    qualifier: str = ""
    trainings: Sequence[TrainingScore] = ()
    unscored: Sequence[str] = ()
    covers: str = ""


ScoreFunction = Callable[[Any, "ScoringContext"], ImageScores | SetScore]


@dataclass(frozen=True)
class Metric:
    """A registered metric.

    Attributes:
        label: its heading in tables.
        better: which direction is better.
        prompts: the prompt set that it scores, or None for one that scores the training.
        others: a further prompt set that the original model is drawn for: images in which nothing should be found.
        score: the function.
        digits: decimals in tables.
        with_reference: whether the row of real images has a value.
        version: raise it when the definition changes; it is part of the cache key.
        is_cost: whether it is a cost, which tables set apart and do not rank.
        is_rate: whether an image's value is 1 or 0: its interval is Korn and Graubard's.
    """

    label: str
    better: Better
    prompts: str | None
    score: ScoreFunction
    digits: int = 3
    with_reference: bool = False
    version: int = 1
    is_cost: bool = False
    others: str | None = None
    is_rate: bool = False


def metric(
    label: str,
    better: Better,
    prompts: str | None,
    digits: int = 3,
    with_reference: bool = False,
    version: int = 1,
    is_cost: bool | None = None,
    others: str | None = None,
    is_rate: bool = False,
) -> Callable[[ScoreFunction], Metric]:
    """Register a function as a metric under its own name; one that scores the training is a cost unless told."""

    def register(score: ScoreFunction) -> Metric:
        cost = prompts is None if is_cost is None else is_cost
        return Metric(label, better, prompts, score, digits, with_reference, version, cost, others, is_rate)

    return register
