"""From stored scores to statistics: a score's estimate from its images' values, and the difference of two scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..runs.scores import ImageValue, ScoreRecord
from ..scoring.statistics import Difference, Estimate, estimate, paired, paired_set_scores


def estimate_values(rows: Sequence[ImageValue], values: Sequence[float | None], rate: bool) -> Estimate | None:
    """The mean of an image's values with its interval; None where no image has one.

    Args:
        rows: each image's prompt, cluster and training seed; values that they hold are not read.
        values: one an image.
        rate: whether they are 1 or 0.
    """
    return estimate(values, [row.cluster for row in rows], [row.seed for row in rows], rate, _units(rows))


def _units(rows: Sequence[ImageValue]) -> str:
    """What the clusters are, in words."""
    alone = all(row.cluster == row.prompt for row in rows)
    return "prompts" if alone else "groups of prompts that share a template"


def estimate_fields(found: Estimate) -> dict[str, Any]:
    """An estimate as a score's record holds it."""
    return {
        "value": found.value,
        "low": found.low,
        "high": found.high,
        "error": found.error,
        "freedom": found.freedom,
        "n": found.n,
        "clusters": found.clusters,
        "covers": found.covers,
    }


def difference(mine: ScoreRecord, theirs: ScoreRecord) -> Difference | None:
    """How two rows' scores of one metric differ, in pairs; None where nothing can be paired.

    Images are paired by prompt, sample and training seed; a row that was not trained, such as the original, is paired
    with every training of the other. FID and KID are paired by training seed and group of prompts.
    """
    if mine.values and theirs.values:
        return _of_images(mine.values, theirs.values)
    first, second = _trainings(mine), _trainings(theirs)
    if not first or not second:
        return None
    if None in first and None not in second:
        first = dict.fromkeys(second, first[None])
    elif None in second and None not in first:
        second = dict.fromkeys(first, second[None])
    (my_values, my_replicates), (their_values, their_replicates) = _apart(first), _apart(second)
    return paired_set_scores(my_values, their_values, my_replicates, their_replicates, min(mine.n, theirs.n))


def paired_rows(first: Sequence[ImageValue], second: Sequence[ImageValue]) -> list[tuple[ImageValue, ImageValue]]:
    """Stored values of the same prompt, sample and training seed.

    A side that no seed changes (the original, a closed form) is paired with every training of the other.
    """
    sides = [{(v.prompt, v.sample, v.seed): v for v in side} for side in (first, second)]
    seeds = [list(dict.fromkeys(v.seed for v in side)) for side in (first, second)]
    if seeds[0] == [None]:
        return [(sides[0][p, k, None], value) for (p, k, _), value in sides[1].items() if (p, k, None) in sides[0]]
    if seeds[1] == [None]:
        return [(value, sides[1][p, k, None]) for (p, k, _), value in sides[0].items() if (p, k, None) in sides[1]]
    return [(value, sides[1][key]) for key, value in sides[0].items() if key in sides[1]]


def _of_images(mine: Sequence[ImageValue], theirs: Sequence[ImageValue]) -> Difference | None:
    sides = [(a, a.value, b, b.value) for a, b in paired_rows(mine, theirs)]
    pairs = [(a, x, b, y) for a, x, b, y in sides if x is not None and y is not None]
    if not pairs:
        return None
    first = [a for a, _, _, _ in pairs]
    seeds = [a.seed if b.seed is None else b.seed for a, _, b, _ in pairs]
    clusters = [value.cluster for value in first]
    return paired([x for _, x, _, _ in pairs], [y for _, _, _, y in pairs], clusters, seeds, _units(first))


def _apart(
    trainings: Mapping[int | None, tuple[float, Sequence[float]]],
) -> tuple[dict[int | None, float], dict[int | None, Sequence[float]]]:
    """Values and replicates by training seed."""
    values = {seed: value for seed, (value, _) in trainings.items()}
    return values, {seed: replicates for seed, (_, replicates) in trainings.items()}


def _trainings(record: ScoreRecord) -> dict[int | None, tuple[float, Sequence[float]]]:
    """A set score's value and replicates by training seed."""
    return {part.seed: (part.value, part.replicates) for part in record.trainings}


def training_values(record: ScoreRecord) -> dict[int, float]:
    """A score's value for each training; empty for a row that was not trained."""
    by_seed: dict[int, list[float]] = {}
    for row in record.values:
        if row.value is not None and row.seed is not None:
            by_seed.setdefault(row.seed, []).append(row.value)
    means = {seed: sum(values) / len(values) for seed, values in by_seed.items()}
    return means or {seed: value for seed, (value, _) in _trainings(record).items() if seed is not None}


def agreement(record: ScoreRecord) -> float | None:
    """The share of images of which a second judge says the same; None where none looked."""
    both = [(row.value, row.second) for row in record.values if row.value is not None and row.second is not None]
    return sum(first == second for first, second in both) / len(both) if both else None
