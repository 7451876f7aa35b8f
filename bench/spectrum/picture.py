"""The spectrum as a picture: sorted curves, one panel a method, with named and neutral concepts marked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from ..store import write_atomically

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
    panels = figure.subplots(rows, columns, squeeze=False, sharey=True).ravel()
    for panel in panels[len(tables) :]:
        panel.set_visible(False)
    for panel, (name, table) in zip(panels, tables.items(), strict=False):
        scores = np.sort(table["score"].to_numpy())
        panel.plot(np.linspace(0, 100, len(scores)), -scores, color="tab:blue", linewidth=1.5)
        for kind, part in named[name].groupby("kind", sort=False):
            panel.scatter(
                part["percentile"], -part["score"], s=16, color=COLOURS[str(kind)], label=str(kind), zorder=3
            )  # fmt: skip
            for _, line in _labelled(part).iterrows():
                text = f"“{line['concept']}”"
                panel.annotate(text, (line["percentile"], -line["score"]), fontsize=7, xytext=(3, 3),
                               textcoords="offset points")  # fmt: skip
        panel.set(title=labels[name], xlabel="concepts, most affected first (%)", yscale="log")
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("mean squared change of ε (log)")
    panels[0].legend(fontsize=8, frameon=False)
    write_atomically(path, lambda temporary: figure.savefig(temporary, format="png", dpi=130))


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
