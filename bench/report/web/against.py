"""Paired tests of every row against every other, as `bench compare --to` makes them, for a page to look up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ...errors import BenchError
from ...scoring.statistics import holm
from ..compare import LEVEL, all_pairs, compare_scores
from ..headings import Heading, headings
from .opened import OpenRun
from .visible import finite

MOST_VALUES = 100_000  # images in all pairs: a minute or two; for more there is `bench compare`

Against = dict[str, dict[str, dict[str, dict[str, Any]]]]


def tests_of(runs: Sequence[OpenRun], most: int, told: Callable[[str, str, int, int], None]) -> list[Against | None]:
    """Each run's `paired_tests`; `told` is called with how many pairs of rows are tested, and how many there are."""
    pairs = [len(all_pairs(run.record.rows)) if _fits(run, most) else 0 for run in runs]
    done = 0

    def more() -> None:
        nonlocal done
        done += 1
        told("tests", "pairs of rows", done, sum(pairs))

    return [paired_tests(run, most, more) for run in runs]


def paired_tests(run: OpenRun, most: int = MOST_VALUES, told: Callable[[], None] = lambda: None) -> Against | None:
    """By chosen row, other row and metric: the difference other − chosen, its interval, adjusted p, n and verdict.

    p is adjusted by Holm's procedure over all rows and metrics that are tested against the chosen row. The verdict is
    "better", "worse" or "". None where there are more than `most` images in all pairs. `told` is called after each
    pair.
    """
    if not _fits(run, most):
        return None
    try:
        table = compare_scores(run.scores, run.plan.metrics, all_pairs(run.record.rows), told)
    except BenchError:  # no two rows have a score in common
        return {}
    heads = headings(run.scores, run.plan.metrics)
    found: Against = {}
    lines: list[dict[Any, Any]] = table.to_dict("records")
    for line in lines:
        _add(found, line["b"], line["a"], line, heads[line["metric"]], 1)
        _add(found, line["a"], line["b"], line, heads[line["metric"]], -1)
    for others in found.values():
        _adjust([cell for cells in others.values() for cell in cells.values()])
    return found


def _fits(run: OpenRun, most: int) -> bool:
    """Whether all pairs of rows have no more images than that."""
    counts = {row: 0 for row in run.record.rows}
    for (row, _), score in run.scores.items():
        if row in counts:
            counts[row] += len(score.values)
    return sum(min(counts[a], counts[b]) for a, b in all_pairs(run.record.rows)) <= most


def _add(found: Against, chosen: str, other: str, line: dict[str, Any], head: Heading, sign: int) -> None:
    difference, low, high = (finite(line[key]) for key in ("difference", "low", "high"))
    ends = sorted(sign * end for end in (low, high) if end is not None)
    cell = {
        "difference": _signed(head, None if difference is None else sign * difference),
        "interval": f"{_signed(head, ends[0])} to {_signed(head, ends[1])}" if len(ends) == 2 else "",
        "p": finite(line["p"]),
        "n": int(line["n"]),
        "test": line["test"],
        "verdict": "",
        "better": head.better,
        "positive": difference is not None and sign * difference > 0,
    }
    found.setdefault(chosen, {}).setdefault(other, {})[line["metric"]] = cell


def _signed(head: Heading, value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:+.{head.digits}f}".replace("-", "−")


def _adjust(cells: list[dict[str, Any]]) -> None:
    """Replace p by the adjusted one, and say who is better."""
    tested = [cell for cell in cells if cell["p"] is not None]
    for cell, p in zip(tested, holm([cell["p"] for cell in tested]), strict=True):
        cell["p"] = f"{p:.2g}"
        if p <= LEVEL:
            cell["verdict"] = "better" if cell["positive"] == (cell["better"] == "higher") else "worse"
    for cell in cells:
        del cell["better"], cell["positive"]
