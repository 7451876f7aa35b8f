"""What a metric returns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..runs.scores import TrainingScore


@dataclass(frozen=True)
class ImageScores:
    """One value an image, in the image set's order; None where the image could not be scored.

    `note` names what the value depends on (detector, model, version); `qualifier` is what its heading must say
    besides; `details` is kept with the scores: for an image without a value, why. `second` are the same values by a
    second judge, where there is one; tables say how far the two agree.
    """

    values: Sequence[float | None]
    note: str = ""
    qualifier: str = ""
    details: Sequence[Any] | None = None
    second: Sequence[float | None] = ()


@dataclass(frozen=True)
class SetScore:
    """One value for a whole set, over n images.

    With `trainings` its interval is over them and the groups of prompts, and `value` their mean. It may bring another
    interval, in `covers` what that is over, and the standard error and degrees of freedom that `bench drift` tests
    with. `unscored` names images that are left out, and why. `parts` are the means that the value is made of, by name.
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
    error: float | None = None
    freedom: float | None = None
    parts: Mapping[str, float] = field(default_factory=dict)
