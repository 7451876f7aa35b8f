"""What a run says in a few lines: who erases best, who keeps most, and who does both."""

from __future__ import annotations

from collections.abc import Sequence

from ..headings import headings
from ..marks import not_erased, preserves
from .board import Board
from .opened import OpenRun


def in_short(run: OpenRun, board: Board) -> list[str]:
    """Who did not erase, a line a quality column with the marked rows, and who is marked in all; of a trial nothing."""
    plan, scores = run.plan, run.scores
    if plan.quick:
        return []
    heads, lines = headings(scores, plan.metrics), list[str]()
    rate, left = not_erased(scores, plan.metrics, run.methods)
    if left:
        lines.append(f"Did not erase: {_named(run, left)} (over half of the original’s {heads[rate].label} is left).")
    marked = {
        column.key: [row.key for row in board.rows if row.cells[k].is_best] for k, column in enumerate(board.columns)
    }
    best = {name: rows for name, rows in marked.items() if rows}
    for name, rows in best.items():
        of_whom = " of the rows that erased" if left and preserves(scores[rows[0], name]) else ""
        is_best = "is best" if len(rows) == 1 else "are best, or not significantly worse than the best"
        lines.append(f"{heads[name].with_arrow}: {_named(run, rows)} {is_best}{of_whom}")
    everywhere = [row for row in run.methods if all(row in rows for rows in best.values())]
    if len(best) > 1:
        who = f"only {_named(run, everywhere)}" if everywhere else "no method"
        lines.append(f"Among the best in every tested column: {who}.")
    return lines


def _named(run: OpenRun, rows: Sequence[str]) -> str:
    labels = [run.label(row) for row in rows]
    return labels[0] if len(labels) == 1 else f"{', '.join(labels[:-1])} and {labels[-1]}"
