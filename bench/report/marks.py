"""Which of a column's values are marked: the best, and all that are not significantly worse."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ..runs.rows import ORIGINAL
from ..runs.scores import ScoreRecord, Scores
from ..scoring.statistics import holm
from .stored_scores import difference

LEVEL = 0.05  # family-wise, of a column's tests against its best row
TELLS_FROM = 0.5  # what the original must draw of the concept before a column tells anything of its erasure
LEFT = 0.5  # a row that leaves more than this share of the original's rate did not erase


def best_rows(column: Mapping[str, ScoreRecord], better: str) -> list[str]:
    """The row with the best value, and those that a paired test does not find worse, by Holm's procedure.

    Args:
        column: scores of one metric by row.
        better: "lower" or "higher".

    Rows without an interval, or that can't be tested against the best, are left out; none where no row can be tested,
    such as for a single row.
    """
    values = {row: record.value for row, record in column.items() if record.low is not None}
    known = {row: value for row, value in values.items() if value is not None}
    if len(known) < 2:
        return []
    sign = 1 if better == "lower" else -1
    best = min(known, key=lambda row: sign * known[row])
    tested = {
        row: found.p for row in known if row != best and (found := difference(column[row], column[best])) is not None
    }
    if not tested:  # being lowest or highest by itself shows nothing
        return []
    adjusted = dict(zip(tested, holm(list(tested.values())), strict=True))
    return [row for row in known if row == best or adjusted.get(row, 0.0) > LEVEL]


def tells_nothing(scores: Scores, metric: str) -> bool:
    """Whether a column on the concept's prompts tells nothing: the original itself seldom draws the concept."""
    original = scores.get((ORIGINAL, metric))
    if original is None or original.prompts != "concept" or original.value is None:
        return False
    if original.better == "lower":
        return original.value < TELLS_FROM
    return original.is_rate and 1 - original.value < TELLS_FROM  # of images without the concept


def not_erased(scores: Scores, metrics: Iterable[str], rows: Iterable[str]) -> tuple[str, list[str]]:
    """The first rate of `metrics` that tells of erasure, and the rows that leave more than LEFT of the original's.

    "" and none where there is no such rate.
    """
    for name in metrics:
        original = scores.get((ORIGINAL, name))
        if original is None or not original.is_rate or original.prompts != "concept" or original.value is None:
            continue
        if original.better == "lower" and not tells_nothing(scores, name):
            rates = {row: scores[row, name].value for row in rows if (row, name) in scores}
            return name, [row for row, rate in rates.items() if rate is not None and rate > LEFT * original.value]
    return "", []


def preserves(record: ScoreRecord) -> bool:
    """Whether a score is of what should stay, not of the concept or of costs."""
    return not record.is_cost and record.prompts != "concept"


def marked(scores: Scores, metrics: Sequence[str], rows: Sequence[str]) -> dict[str, list[str]]:
    """The rows to mark in each metric's column.

    Costs and columns that tell nothing have no marks, and rows that did not erase none in columns of what is preserved.
    """
    _, left = not_erased(scores, metrics, rows)
    found = {}
    for name in metrics:
        column = {row: scores[row, name] for row in rows if (row, name) in scores}
        one = next(iter(column.values()), None)
        if one is None or one.is_cost or tells_nothing(scores, name):
            continue
        if preserves(one):
            column = {row: record for row, record in column.items() if row not in left}
        found[name] = best_rows(column, one.better)
    return found
