"""Numbers that are made of several shares, such as a harmonic mean of accuracies, with an interval."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import t as student

from ..errors import NotApplicable
from ..images.image_set import ImageSet
from ..runs.scores import TrainingScore
from .context import JACKKNIFE_GROUPS
from .scores import SetScore
from .statistics import coverage, estimate


@dataclass(frozen=True)
class Part:
    """The mean of some images' values.

    Attributes:
        name: how notes call it.
        images: of one prompt set.
        values: one an image; None for one that is no part of it or could not be scored.
        unscored: images that could not be scored, and why.
        is_rate: whether values are 1 or 0.
    """

    name: str
    images: ImageSet
    values: Sequence[float | None]
    unscored: Sequence[str] = ()
    is_rate: bool = True


def combined(
    parts: Sequence[Part], formula: Callable[[Mapping[str, float]], float], note: str, qualifier: str
) -> SetScore:
    """A formula of the parts' means: the mean over trainings, with an interval made of the parts' own.

    The parts' limits are put into the formula one at a time, and its deviations added in squares (the method of
    variance estimates recovery: Zou and Donner, 2008), inside what all limits together allow. So a share of 0 or 1 is
    not taken for certain, as it is by a jackknife. Parts count as independent: their prompts are others. Rows are
    compared by jackknife replicates, in pairs: 20 random groups, to which each part's prompts are dealt out by
    themselves, where the parts together have 40 prompts.

    Args:
        parts: what the formula is of.
        formula: from each part's mean by its name; it rises or falls with each of them.
        note: what the values depend on.
        qualifier: what the heading must say besides.

    Raises:
        NotApplicable: a part has no value in one of the trainings.
    """
    values = [np.array([np.nan if v is None else v for v in part.values], float) for part in parts]
    dealt = _groups([[job.cluster for job in part.images.jobs] for part in parts])
    scores, means = [], []
    for seed in dict.fromkeys(parts[0].images.trainings):
        own = [np.array([training == seed for training in part.images.trainings]) for part in parts]

        def without(group: int | None, own: list[np.ndarray] = own) -> dict[str, float]:
            found = {}
            for part, known, mine, groups in zip(parts, values, own, dealt or values, strict=True):
                kept = known[mine if group is None else mine & (groups != group)]
                kept = kept[np.isfinite(kept)]
                found[part.name] = float(kept.mean()) if len(kept) else float("nan")
            return found

        whole = without(None)
        if lost := [name for name, mean in whole.items() if np.isnan(mean)]:
            raise NotApplicable(f"no image for “{lost[0]}” could be scored")
        left = [without(group) for group in range(JACKKNIFE_GROUPS)] if dealt else []
        complete = all(np.isfinite(list(one.values())).all() for one in left)
        replicates = tuple(formula(one) for one in left) if complete else ()
        scores.append(TrainingScore(seed=seed, value=formula(whole), replicates=replicates))
        means.append(whole)
    value = float(np.mean([score.value for score in scores]))
    found = SetScore(
        value,
        int(sum(np.isfinite(known).sum() for known in values)),
        note=f"{note}; {_counts(parts)}",
        qualifier=qualifier,
        trainings=scores,
        unscored=[text for part in parts for text in part.unscored],
        parts={part.name: float(np.mean([one[part.name] for one in means])) for part in parts},
    )
    return _with_interval(found, parts, formula)


def _counts(parts: Sequence[Part]) -> str:
    """How many prompts each part has."""
    counts = []
    for part in parts:
        scored = zip(part.images.jobs, part.values, strict=True)
        counts.append(f"{part.name} of {len({job.prompt_id for job, value in scored if value is not None})}")
    return f"prompts: {', '.join(counts)}"


def _with_interval(found: SetScore, parts: Sequence[Part], formula: Callable[[Mapping[str, float]], float]) -> SetScore:
    """With an interval from the parts' own; without one, and without replicates, where a part has none."""
    estimates = {}
    for part in parts:
        clusters = [job.cluster for job in part.images.jobs]
        estimates[part.name] = estimate(part.values, clusters, part.images.trainings, part.is_rate)
    means, ends, freedoms = {}, {}, []
    for name, one in estimates.items():
        if one is None or one.low is None or one.high is None or one.freedom is None:
            return replace(found, trainings=[_alone(score) for score in found.trainings])
        means[name], ends[name] = one.value, (one.low, one.high)
        freedoms.append(one.freedom)
    middle = formula(means)
    moved = {name: sorted((formula(means | {name: end}), end) for end in ends[name]) for name in means}
    down = sum(min(0.0, moved[name][0][0] - middle) ** 2 for name in means) ** 0.5
    up = sum(max(0.0, moved[name][-1][0] - middle) ** 2 for name in means) ** 0.5
    worst, best = (formula({name: moved[name][side][1] for name in means}) for side in (0, -1))
    low, high = max(found.value - down, min(worst, found.value)), min(found.value + up, max(best, found.value))
    freedom = float(min(freedoms))
    error = (high - low) / 2 / float(student.ppf(0.975, freedom))
    trainings = list(dict.fromkeys(parts[0].images.trainings))
    groups = sum(one.clusters for one in estimates.values() if one is not None)
    covers = coverage(groups, "groups of prompts", len(trainings), trained=trainings[0] is not None)
    return replace(found, low=low, high=high, error=error, freedom=freedom, covers=covers)


def _alone(score: TrainingScore) -> TrainingScore:
    """A training's score alone."""
    return score.model_copy(update={"replicates": ()})


def harmonic_mean(values: Sequence[float]) -> float:
    """n / (1/x₁ + … + 1/xₙ); 0 where one of them is 0.

    >>> harmonic_mean([1.0, 0.5])
    0.6666666666666666
    """
    return 0.0 if min(values) <= 0 else len(values) / sum(1 / value for value in values)


def _groups(clusters: Sequence[Sequence[str]]) -> list[np.ndarray] | None:
    """Each image's group from 0 to JACKKNIFE_GROUPS − 1; None where there are under twice as many clusters in all."""
    named = [np.unique(np.asarray(own, str), return_inverse=True) for own in clusters]
    if sum(len(names) for names, _ in named) < 2 * JACKKNIFE_GROUPS:
        return None
    begin, found = 0, []
    for names, cluster in named:
        dealt = (np.random.default_rng(0).permutation(len(names)) + begin) % JACKKNIFE_GROUPS
        found.append(dealt[cluster])
        begin += len(names)
    return found
