"""What a metric is: a registered function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from .scores import ImageScores, SetScore

if TYPE_CHECKING:
    from .context import ScoringContext

Better = Literal["higher", "lower"]
Look = Literal[
    "judge", "second_judge", "clip", "distance", "nudenet", "cmmd", "imagenet", "canvas objects", "canvas styles"
]
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
        clip: whether it looks with the plan's CLIP model, so that its values depend on those weights.
        settings: which of the plan's `scoring` it reads; a change of the others leaves its values as they are.
        looks: the encoders and detectors that see its images, so that they see each as soon as it is drawn.
        beside: further prompt sets whose images of the same row it needs.
        packages: those beside the usual ones that its values depend on.
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
    clip: bool = False
    settings: tuple[str, ...] = ()
    looks: tuple[Look, ...] = ()
    packages: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()


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
    clip: bool = False,
    settings: tuple[str, ...] = (),
    looks: tuple[Look, ...] = (),
    packages: tuple[str, ...] = (),
    beside: tuple[str, ...] = (),
) -> Callable[[ScoreFunction], Metric]:
    """Register a function as a metric under its own name; one that scores the training is a cost unless told."""

    def register(score: ScoreFunction) -> Metric:
        cost = prompts is None if is_cost is None else is_cost
        return Metric(
            label,
            better,
            prompts,
            score,
            digits,
            with_reference,
            version,
            cost,
            others,
            is_rate,
            clip,
            settings,
            looks,
            packages,
            beside,
        )

    return register
