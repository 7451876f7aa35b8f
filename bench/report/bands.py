"""Do related things suffer more than unrelated ones? Scores by band of relation, for prompt sets that say the band."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from erasebench.prompts.bands import band_of_prompt

from ..mini.kinds import EVERYTHING
from ..runs.plan import Plan
from ..runs.scores import ImageValue, ScoreRecord, Scores
from .stored_scores import estimate_values

SOURCE = "bands"  # the prompt set
RESAMPLES = 2000


def band_table(scores: Scores, plan: Plan) -> pd.DataFrame:
    """One line a row, metric and band: value, low, high, n, and how the band's things fare against unrelated ones.

    `area`, with `area_low` and `area_high`, is the chance that a thing of the band fares worse than one of EVERYTHING
    (`area_against`). Empty without metrics on the prompt set of bands.
    """
    lines: list[dict[str, Any]] = []
    for (row, name), record in scores.items():
        if not is_banded(record, plan):
            continue
        bands = by_band(record)
        for band, values in bands.items():
            found = estimate_values(values, [value.value for value in values], record.is_rate)
            line: dict[str, Any] = {"row": row, "metric": name, "band": band}
            if found is not None:
                line |= {"value": found.value, "low": found.low, "high": found.high, "n": found.n}
            if band != EVERYTHING and EVERYTHING in bands:
                area = area_against(values, bands[EVERYTHING], record.better)
                line |= dict(zip(("area", "area_low", "area_high"), area, strict=True))
            lines.append(line)
    return pd.DataFrame(lines)


def is_banded(record: ScoreRecord, plan: Plan) -> bool:
    """Whether a score has values of images for the prompt set of bands."""
    return bool(record.prompts and record.values) and plan.prompts[record.prompts].source == SOURCE  # type: ignore[index]


def by_band(record: ScoreRecord) -> dict[str, list[ImageValue]]:
    """A score's images by the band that their prompts' ids say."""
    found: dict[str, list[ImageValue]] = {}
    for value in record.values:
        found.setdefault(band_of_prompt(value.prompt), []).append(value)
    return found


def area_against(
    near: list[ImageValue], far: list[ImageValue], better: str, seed: int = 0
) -> tuple[float, float, float]:
    """The chance that a thing of `near` fares worse than one of `far`, ties counting half, with a 95 % interval.

    Things are compared by the mean over their images and trainings: the area under the ROC curve. The interval is a
    bootstrap's (percentiles of 2,000) over things on both sides and over trainings, which both sides share. NaN where a
    side has no value.

    >>> value = lambda thing, x: ImageValue(prompt=thing, cluster=thing, sample=0, seed=0, value=x)
    >>> near, far = [value("a", 0.1), value("b", 0.6)], [value("c", 0.5), value("d", 0.9)]
    >>> area_against(near, far, "higher")[0]
    0.75
    """
    sign = -1.0 if better == "higher" else 1.0
    seeds = list(dict.fromkeys(value.seed for value in (*near, *far)))
    sides = [sign * _means(side, seeds) for side in (near, far)]
    if not all(len(side) for side in sides):
        return float("nan"), float("nan"), float("nan")
    rng = np.random.default_rng(seed)
    areas = []
    for _ in range(RESAMPLES):
        trainings = rng.integers(len(seeds), size=len(seeds))
        a, b = (side[rng.integers(len(side), size=len(side))][:, trainings].mean(1) for side in sides)
        areas.append(_area(a, b))
    low, high = np.quantile(areas, (0.025, 0.975))
    return _area(*(side.mean(1) for side in sides)), float(low), float(high)


def _means(values: list[ImageValue], seeds: list[int | None]) -> np.ndarray:
    """Each thing's mean value for each training, (things, trainings); things that lack one are left out."""
    cells: dict[str, dict[int | None, list[float]]] = {}
    for value in values:
        if value.value is not None:
            cells.setdefault(value.cluster, {}).setdefault(value.seed, []).append(value.value)
    whole = [by_seed for by_seed in cells.values() if len(by_seed) == len(seeds)]
    return np.array([[np.mean(by_seed[seed]) for seed in seeds] for by_seed in whole]).reshape(-1, len(seeds))


def _area(worse: np.ndarray, other: np.ndarray) -> float:
    """The chance that a value of the first is above one of the second."""
    gaps = worse[:, None] - other
    return float((gaps > 0).mean() + 0.5 * (gaps == 0).mean())
