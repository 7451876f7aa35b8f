"""The spectrum as a picture: sorted curves, one panel a method, with named and neutral concepts marked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..storage.files import write_atomically

COLOURS = {
    "erased": "tab:red",
    "related": "tab:orange",
    "unrelated": "tab:green",
    "neutral": "black",
    "adversarial": "tab:purple",
}
PANEL = (4.4, 3.6)  # inches
COLUMNS = 3
LABELLED = 3  # concepts of each kind that are named in the picture
FONT = 7  # points
HEIGHTS = (3, 12, 21, 30, -10, -19, -28, 39, 48)  # of a name over its point, in points, as they are tried


def write_picture(
    path: Path, tables: Mapping[str, pd.DataFrame], named: Mapping[str, pd.DataFrame], labels: Mapping[str, str]
) -> None:
    """Write the spectra of several erased models side by side as PNG.

    Args:
        path: the file.
        tables: by erased model, its `concept_table`.
        named: by erased model, its `named_table`.
        labels: how panels are headed.
    """
    from matplotlib.figure import Figure

    columns = min(COLUMNS, len(tables))
    rows = -(-len(tables) // columns)
    figure = Figure(figsize=(PANEL[0] * columns, PANEL[1] * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for panel in panels[len(tables) :]:
        panel.set_visible(False)
    for panel, (name, table) in zip(panels, tables.items(), strict=False):
        scores = np.sort(table["score"].to_numpy())
        panel.plot(np.linspace(0, 100, len(scores)), -scores, color="tab:blue", linewidth=1.5)
        for kind, part in named[name].groupby("kind", sort=False):
            panel.scatter(part["percentile"], -part["score"], s=16, color=COLOURS[str(kind)], label=str(kind), zorder=3)
        panel.set(title=labels[name], xlabel="concepts, most affected first (%)", yscale="log", xlim=(-5, 105))
        panel.grid(alpha=0.3)
        _write_labels(panel, pd.concat([_labelled(part) for _, part in named[name].groupby("kind", sort=False)]))
        panel.set_ylabel("mean squared change of ε (log)")
    panels[0].legend(fontsize=8, frameon=False)
    write_atomically(path, lambda temporary: figure.savefig(temporary, format="png", dpi=130))


def _write_labels(panel: Any, concepts: pd.DataFrame) -> None:
    """Name concepts beside their points, each at the first height where it covers no other name."""
    from matplotlib.transforms import Bbox

    scale = panel.figure.dpi / 72  # pixels a point
    taken: list[Bbox] = []
    for _, line in concepts.iterrows():
        point, text = (line["percentile"], -line["score"]), f"“{line['concept']}”"
        x, y = panel.transData.transform(point)
        width = 0.6 * FONT * len(text) * scale
        left = line["percentile"] > 70
        start = x - width - 3 * scale if left else x + 3 * scale
        for height in HEIGHTS:
            bottom = y + height * scale
            box = Bbox.from_bounds(start, bottom, width, FONT * scale)
            if Bbox.intersection(box, panel.bbox) is not None and not box.count_overlaps(taken):
                taken.append(box)
                panel.annotate(
                    text,
                    point,
                    fontsize=FONT,
                    xytext=(-3 if left else 3, height),
                    textcoords="offset points",
                    ha="right" if left else "left",
                )
                break


def _labelled(part: pd.DataFrame) -> pd.DataFrame:
    """A few concepts of a kind, spread over its ranks; all where they are few."""
    if len(part) <= LABELLED:
        return part
    return part.iloc[np.linspace(0, len(part) - 1, LABELLED).astype(int)]


def write_bars(path: Path, table: pd.DataFrame, label: str) -> None:
    """Write image-space sensitivities as a bar chart, most affected first.

    Args:
        path: the file.
        table: columns concept, score (mean cosine), low and high.
        label: the heading.
    """
    from matplotlib.figure import Figure

    shown = table.sort_values("score", ignore_index=True)
    figure = Figure(figsize=(max(6.0, 0.19 * len(shown)), 3.8), layout="constrained")
    panel = figure.subplots()
    error = [shown["score"] - shown["low"], shown["high"] - shown["score"]]
    panel.bar(range(len(shown)), shown["score"], yerr=error, color="tab:blue", error_kw={"linewidth": 0.8})
    panel.set_xticks(range(len(shown)), shown["concept"], rotation=90, fontsize=7)
    panel.set(title=label, ylabel="cosine of the two models' images", xlim=(-0.7, len(shown) - 0.3))
    panel.set_ylim(bottom=max(-1.0, float(shown["low"].min()) - 0.05), top=1.0)
    panel.grid(axis="y", alpha=0.3)
    write_atomically(path, lambda temporary: figure.savefig(temporary, format="png", dpi=130))
