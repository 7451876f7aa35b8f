"""The impact function f_φ: from what is known of two concepts to how much erasing one changes the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from .likeness import Vectors, cosines

READ = ("text", "keys and values")  # what f_φ is given: nothing has to be drawn
COMPONENTS = 12  # of each, at most
PENALTIES = np.geomspace(1e-1, 1e4, 11)  # of the regression; the best by leaving one pair out


@dataclass(frozen=True)
class Known:
    """Concepts by name and their vectors, in the same order."""

    names: Sequence[str]
    vectors: Vectors

    def of(self, name: str) -> dict[str, np.ndarray]:
        """One concept's vectors."""
        place = list(self.names).index(name)
        return {measure: values[place] for measure, values in self.vectors.items()}


class ImpactFunction:
    """A ridge regression of log δ, less its mean for the erased concept: what counts is the order of other concepts.

    A pair's features are functions of both concepts' text embeddings, and of what attn2's keys and values make of
    these: their cosine and distance, and by principal component their product, their absolute difference, and where the
    other concept lies, as some are changed more than others whatever is erased.
    """

    def __init__(self, known: Known) -> None:
        self.known = known
        count = {measure: min(COMPONENTS, *known.vectors[measure].shape) for measure in READ}
        self._axes = {m: PCA(count[m], whiten=True, random_state=0).fit(known.vectors[m]) for m in READ}
        self._regression: Any = make_pipeline(StandardScaler(), RidgeCV(PENALTIES))

    def fit(self, pairs: pd.DataFrame, space: str) -> ImpactFunction:
        """Learn from measured pairs.

        Args:
            pairs: with the columns erased, other and the space's.
            space: the column of δ, greater than 0 for the most part.
        """
        groups = list(_by_erased(pairs, space))
        features = [self.features(self.known.of(erased), part["other"].tolist()) for erased, part in groups]
        targets = [_order(part[space].to_numpy()) for _, part in groups]
        self._regression.fit(np.concatenate(features), np.concatenate(targets))
        return self

    def predict(self, erased: Vectors, others: Sequence[str]) -> np.ndarray:
        """How much each of the known concepts changes when a concept with these vectors, (width,) each, is erased.

        Only the order means anything; (others,).
        """
        found: np.ndarray = self._regression.predict(self.features(erased, others))
        return found

    def features(self, erased: Vectors, others: Sequence[str]) -> np.ndarray:
        """The pairs' features, (others, features)."""
        places = [list(self.known.names).index(name) for name in others]
        columns = []
        for measure in READ:
            mine, theirs = erased[measure], self.known.vectors[measure][places]
            a, b = (self._axes[measure].transform(values) for values in (mine[None], theirs))
            columns += [cosines(theirs, mine)[:, None], np.linalg.norm(theirs - mine, axis=1)[:, None]]
            columns += [a * b, np.abs(a - b), b]
        return np.concatenate(columns, 1)


def _by_erased(pairs: pd.DataFrame, space: str) -> Iterator[tuple[str, pd.DataFrame]]:
    """The pairs with a value, by erased concept."""
    yield from ((str(name), part) for name, part in pairs.dropna(subset=[space]).groupby("erased", sort=False))


def _order(values: np.ndarray) -> np.ndarray:
    """log δ less its mean; what is 0 or less counts as the least that is greater."""
    above = values[values > 0]
    least = above.min() if len(above) else 1.0
    logs = np.log(np.maximum(values, least))
    found: np.ndarray = logs - logs.mean()
    return found
