"""How well impact is foretold for concepts whose erasure was never seen: f_φ beside plain similarities."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd
from sklearn.model_selection import GroupKFold

from ..errors import BenchError
from ..scoring.statistics import estimate, rank_correlation
from .function import ImpactFunction, Known
from .likeness import MEASURES, cosines
from .measure import SPACES

LEARNED, AVERAGE = "f_φ", "average"
TOP = 10  # of which recall is taken
FOLDS = 5
FEWEST = 5  # erased concepts


def grid_scores(pairs: pd.DataFrame, known: Known) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Scores by space, erased concept and predictor; their summary; and how alike the spaces order other concepts.

    Raises:
        BenchError: there are under five erased concepts.
    """
    spaces = [space for space in SPACES if pairs[space].notna().any()]
    every = {space: held_out_scores(pairs, known, space) for space in spaces}
    scores = pd.concat([found.assign(space=space) for space, found in every.items()], ignore_index=True)
    summary = pd.concat([summary_of(found, space) for space, found in every.items()], ignore_index=True)
    return scores, summary, pd.DataFrame(_agreement(pairs, spaces), columns=["a", "b", "spearman"])


def _agreement(pairs: pd.DataFrame, spaces: Sequence[str]) -> list[tuple[str, str, float]]:
    """Spearman's ρ of δ in two spaces, mean over erased concepts."""
    means = pairs.groupby(["erased", "other"], sort=False, as_index=False)[list(spaces)].mean()
    lines = []
    for a, b in combinations(spaces, 2):
        found = [
            rank_correlation(part[a].to_numpy(), part[b].to_numpy())
            for _, part in means.dropna(subset=[a, b]).groupby("erased")
        ]
        known = [value for value in found if value is not None]
        if known:
            lines.append((a, b, float(np.mean(known))))
    return lines


def held_out_scores(pairs: pd.DataFrame, known: Known, space: str) -> pd.DataFrame:
    """One line an erased concept and predictor: Spearman's ρ with δ, and recall of the 10 most changed.

    f_φ learns from the other folds' erased concepts. So does the average of δ of an other concept over these, which
    knows nothing of the erased one: f_φ has to beat it, too. Similarities learn nothing.

    Args:
        pairs: with the columns erased, other and the space's; several trainings of an erased concept are averaged.
        known: all their concepts.
        space: the column of δ.

    Raises:
        BenchError: there are under five erased concepts to hold out.
    """
    means = pairs.dropna(subset=[space]).groupby(["erased", "other"], sort=False, as_index=False)[space].mean()
    erased = means["erased"].to_numpy()
    if len(set(erased)) < FEWEST:
        raise BenchError(
            f"{len(set(erased))} erased concepts with a δ in {space} space: at least {FEWEST} are needed to hold some "
            "out. `bench impact measure` with more --concepts."
        )
    lines = []
    for train, test in GroupKFold(FOLDS, shuffle=True, random_state=0).split(means, groups=erased):
        learned = ImpactFunction(known).fit(means.iloc[train], space)
        usual = means.iloc[train].groupby("other")[space].mean()
        for name, part in means.iloc[test].groupby("erased", sort=False):
            own, others = known.of(str(name)), part["other"].tolist()
            places = [list(known.names).index(other) for other in others]
            told = {
                LEARNED: learned.predict(own, others),
                AVERAGE: usual.reindex(others).fillna(usual.mean()).to_numpy(),
            }
            told |= {measure: cosines(known.vectors[measure][places], own[measure]) for measure in MEASURES}
            for predictor, values in told.items():
                found = part[space].to_numpy()
                lines.append(
                    {
                        "erased": name,
                        "predictor": predictor,
                        "spearman": rank_correlation(values, found),
                        "recall": recall(values, found),
                    }
                )
    return pd.DataFrame(lines)


def recall(predicted: np.ndarray, found: np.ndarray, top: int = TOP) -> float | None:
    """The share of the most changed that are among as many with the highest prediction.

    None where fewer than these changed more than the least changed: then nobody can tell which they are.

    >>> recall(np.array([3, 2, 1]), np.array([0.1, 5, 7]), 2)
    0.5
    """
    count = min(top, len(found) - 1)
    if (found > found.min()).sum() < count:
        return None
    most = set(np.argsort(-found, kind="stable")[:count])
    return len(most & set(np.argsort(-predicted, kind="stable")[:count])) / count


def summary_of(scores: pd.DataFrame, space: str) -> pd.DataFrame:
    """One line a predictor: means over erased concepts with 95 % intervals."""
    lines = []
    for predictor, part in scores.groupby("predictor", sort=False):
        line: dict[str, object] = {"space": space, "predictor": predictor, "erased": len(part)}
        for column in ("spearman", "recall"):
            values = [None if pd.isna(value) else float(value) for value in part[column]]
            mean = estimate(values, part["erased"].tolist(), [None] * len(part), of="erased concepts")
            line |= {
                column: mean and mean.value,
                f"{column}_low": mean and mean.low,
                f"{column}_high": mean and mean.high,
            }
        lines.append(line)
    return pd.DataFrame(lines)
