"""How well the impact function foretells what erasing a concept changes, as tables."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from ..storage.files import write_csv, write_text
from .formats import html, latex, markdown
from .sheet import Cell, Column, Sheet

SCORES, TABLE = "impact-function.csv", "impact-function"
HEADINGS = {"spearman": "Spearman’s ρ", "recall": "Recall of the top 10"}


def write_impact(folder: Path, scores: pd.DataFrame, summary: pd.DataFrame, agreement: pd.DataFrame) -> Sheet:
    """Write impact-function.csv, .md, .tex and .html into a grid's folder.

    Args:
        folder: the grid's.
        scores: a line a space, erased concept and predictor.
        summary: a line a space and predictor: means and intervals.
        agreement: how far the spaces order other concepts alike: a, b, spearman.
    """
    table = sheet(summary, agreement)
    write_csv(folder / SCORES, scores)
    for suffix, form in (("md", markdown), ("tex", latex), ("html", html)):
        write_text(folder / f"{TABLE}.{suffix}", form(table))
    return table


def sheet(summary: pd.DataFrame, agreement: pd.DataFrame) -> Sheet:
    """A line a predictor, two columns a space."""
    spaces = list(summary["space"].unique())
    columns = [Column(label, f"δ in {space}") for space in spaces for label in HEADINGS.values()]
    by_place = {(line["space"], line["predictor"]): line for line in summary.to_dict("records")}
    body = [
        (str(predictor), [_cell(by_place[space, predictor], column) for space in spaces for column in HEADINGS])
        for predictor in summary["predictor"].unique()
    ]
    counts = ", ".join(f"{space} {int(summary.loc[summary['space'] == space, 'erased'].max())}" for space in spaces)
    notes = [
        f"Means over erased concepts ({counts}) with 95 % intervals. f_φ learned from the other folds’ erased concepts,"
        " from text embeddings and what attn2 makes of them. Average: how much the other concept changed in them,"
        " whatever was erased. The similarities learn nothing. Recall: where ten changed more than the least changed.",
        "δ: in noise the mean squared change of predictions, in image 1 − SSIM, in judge by how much fewer images the "
        "judge sees the other concept in.",
        *(
            f"Spearman’s ρ of δ in {a} and in {b}, mean over erased concepts: {rho:.2f}."
            for a, b, rho in agreement.values
        ),
    ]
    return Sheet(
        "Which concepts does erasing one change? Foretold for erased concepts that were held out",
        columns,
        [body],
        notes,
    )


def _cell(line: Mapping[Any, Any], column: str) -> Cell:
    if pd.isna(line[column]):
        return Cell()
    low, high = line[f"{column}_low"], line[f"{column}_high"]
    return Cell(f"{line[column]:.2f}", interval="" if pd.isna(low) else f"{low:.2f} to {high:.2f}")
