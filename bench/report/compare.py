"""Paired tests between rows of a run: the same prompts, the same seeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any

import pandas as pd

from ..errors import BenchError
from ..runs.folder import RunFolder
from ..runs.plan import Plan
from ..runs.rows import REFERENCE
from ..runs.scores import ScoreRecord, Scores, read_scores
from ..scoring.statistics import holm
from .headings import Heading, headings
from .stored_scores import difference

LEVEL = 0.05  # family-wise, of all tests of a comparison
UNTESTED = "none: too few prompts in common"
COLUMNS = (
    "a",
    "b",
    "metric",
    "label",
    "a_value",
    "b_value",
    "difference",
    "low",
    "high",
    "p",
    "p_holm",
    "n",
    "test",
    "better",
)


def pairs_to(row: str, rows: Sequence[str]) -> list[tuple[str, str]]:
    """Every row against one; real images have no pairs."""
    return [(other, row) for other in rows if other not in (row, REFERENCE)]


def all_pairs(rows: Sequence[str]) -> list[tuple[str, str]]:
    """Every two rows; real images have no pairs."""
    return list(combinations([row for row in rows if row != REFERENCE], 2))


def compare(folder: RunFolder, plan: Plan, pairs: Sequence[tuple[str, str]]) -> pd.DataFrame:
    """`compare_scores` of a run's stored scores."""
    rows = list(dict.fromkeys(row for pair in pairs for row in pair))
    return compare_scores(read_scores(folder, rows, plan.metrics), plan.metrics, pairs)


def compare_scores(
    scores: Scores, metrics: Sequence[str], pairs: Sequence[tuple[str, str]], told: Callable[[], None] = lambda: None
) -> pd.DataFrame:
    """One line a pair of rows and metric: both values, a − b with its 95 % interval, p, n, the test, who is better.

    Images are paired by prompt, sample and training; those that are unscored on a side are left out. FID and KID are
    compared through jackknife values over the same groups of prompts. Costs are not compared. `p_holm` is adjusted by
    Holm's procedure over all lines; a row is better where it is at most LEVEL. `told` is called after each pair.

    Raises:
        BenchError: a pair is one row twice, or no pair has a score in common.
    """
    if twice := [a for a, b in pairs if a == b]:
        raise BenchError(f"compare: both rows are {twice[0]!r}. Name two different ones.")
    heads = headings(scores, metrics)
    lines: list[dict[str, Any]] = []
    for a, b in pairs:
        for name, heading in heads.items():
            mine, theirs = scores.get((a, name)), scores.get((b, name))
            if heading.is_cost or mine is None or theirs is None:
                continue
            if mine.value is not None and theirs.value is not None:
                found = _line(mine, theirs, mine.value, theirs.value)
                lines.append({"a": a, "b": b, "metric": name, "label": heading.label, **found})
        told()
    if not lines:
        rows = dict.fromkeys(row for pair in pairs for row in pair)
        raise BenchError(f"compare: {' and '.join(map(repr, rows))} have no score in common.")
    tested = [line for line in lines if line["p"] is not None]
    for line, p in zip(tested, holm([line["p"] for line in tested]), strict=True):
        line |= {"p_holm": p, "better": _better(line, heads[line["metric"]]) if p <= LEVEL else ""}
    return pd.DataFrame(lines, columns=COLUMNS)


def _line(mine: ScoreRecord, theirs: ScoreRecord, a: float, b: float) -> dict[str, Any]:
    """Both values and their difference, tested where it can be."""
    line: dict[str, Any] = {"a_value": a, "b_value": b, "p_holm": None, "better": ""}
    found = difference(mine, theirs)
    if found is None:
        nothing = {"low": None, "high": None, "p": None}
        return line | nothing | {"difference": a - b, "n": min(mine.n, theirs.n), "test": UNTESTED}
    return line | {
        "difference": found.value,
        "low": found.low,
        "high": found.high,
        "p": found.p,
        "n": found.n,
        "test": found.test,
    }


def _better(line: dict[str, Any], heading: Heading) -> str:
    return str(line["a"] if (line["difference"] > 0) == (heading.better == "higher") else line["b"])
