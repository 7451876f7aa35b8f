"""Paired tests between two rows of a run: the same prompts, the same seeds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from .errors import BenchError, unknown
from .layout import RunFolder
from .plan import Plan
from .registry import METHODS
from .stats import Difference, jackknife_difference, paired_difference
from .tables import headings, read_scores


def resolve_row(name: str, rows: Sequence[str]) -> str:
    """A row of a run by its name or its method's alias.

    Raises:
        BenchError: the run has no such row; names the nearest.
    """
    found = name if name in rows else METHODS.aliases().get(name, name)
    if found not in rows:
        raise unknown("row", name, rows, "bench table RUN")
    return found


def compare(folder: RunFolder, plan: Plan, a: str, b: str) -> pd.DataFrame:
    """One line a metric: both values, a − b, its 95 % interval, p, the number of pairs, the test, and who is better.

    Images are paired by prompt and sample; those that are unscored on a side are left out. FID and KID are compared
    through jackknife values over the same groups of prompts. Costs are not compared.

    Raises:
        BenchError: a and b are the same, or have no score in common.
    """
    if a == b:
        raise BenchError(f"compare: both rows are {a!r}. Name two different ones.")
    scores = read_scores(folder, [a, b], plan.metrics)
    lines: list[dict[str, Any]] = []
    for name, heading in headings(scores, plan.metrics).items():
        mine, theirs = scores.get((a, name)), scores.get((b, name))
        if heading.is_cost or mine is None or theirs is None or None in (mine["value"], theirs["value"]):
            continue
        difference = _difference(mine, theirs)
        line: dict[str, Any] = {
            "metric": name,
            "label": heading.label,
            a: mine["value"],
            b: theirs["value"],
            "better": "",
        }
        if difference is None:
            line |= {
                "difference": mine["value"] - theirs["value"],
                "n": mine["n"],
                "test": "none: too few prompts in common",
            }
        else:
            line |= {
                "difference": difference.value, "low": difference.low, "high": difference.high, "p": difference.p,
                "n": difference.n, "test": difference.test,
            }  # fmt: skip
            if difference.low > 0 or difference.high < 0:
                line["better"] = a if (difference.value > 0) == (heading.better == "higher") else b
        lines.append(line)
    if not lines:
        raise BenchError(f"compare: {a!r} and {b!r} have no score in common.")
    columns = ["metric", "label", a, b, "difference", "low", "high", "p", "n", "test", "better"]
    return pd.DataFrame(lines, columns=columns)


def paired_rows(
    first: Sequence[dict[str, Any]], second: Sequence[dict[str, Any]]
) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Stored values of the same prompt, sample and training seed.

    A side that no seed changes (the original, a closed form) is paired with every training of the other.
    """
    sides = [{(v["prompt"], v["sample"], v["seed"]): v for v in side} for side in (first, second)]
    seeds = [list(dict.fromkeys(v["seed"] for v in side)) for side in (first, second)]
    if seeds[0] == [None]:
        return [(sides[0][p, k, None], value) for (p, k, _), value in sides[1].items() if (p, k, None) in sides[0]]
    if seeds[1] == [None]:
        return [(value, sides[1][p, k, None]) for (p, k, _), value in sides[0].items() if (p, k, None) in sides[1]]
    return [(value, sides[1][key]) for key, value in sides[0].items() if key in sides[1]]


def _difference(mine: dict[str, Any], theirs: dict[str, Any]) -> Difference | None:
    if "values" in mine and "values" in theirs:
        pairs = [
            (first["value"], second["value"], first["prompt"])
            for first, second in paired_rows(mine["values"], theirs["values"])
            if None not in (first["value"], second["value"])
        ]
        return paired_difference(*map(list, zip(*pairs, strict=True))) if pairs else None
    first, second = mine.get("replicates", ()), theirs.get("replicates", ())
    if not first or len(first) != len(second):
        return None
    return jackknife_difference(mine["value"], theirs["value"], first, second, min(mine["n"], theirs["n"]))
