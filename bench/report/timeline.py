"""How erasing goes on: scores by training step, as a CSV and a picture (the form of "All but One", Fig. 2, 4, 5)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from ..runs.folder import RunFolder
from ..runs.scores import read_score
from ..scoring.metric import Metric
from ..storage.files import write_atomically, write_csv

SIDE_BY_SIDE = (4.6, 3.4)  # inches of one panel
DASHES, MARKERS = ("-", "--", "-.", ":"), "osD^vP*X<>"
THICKER, MOST_APART = 0.7, 6  # points by which a curve is thicker than the one drawn on it; how often

FILLED, EDGE = 0.35, 0.3  # all bands' opacity where they lie on one another; an edge's width, of its curve's
MARGIN = 0.05  # of an axis beyond what it shows


def write_timeline(
    folder: RunFolder, timeline: Mapping[str, tuple[str, int]], metrics: Mapping[str, Metric], labels: Mapping[str, str]
) -> None:
    """Write timeline.csv and timeline.png from the stored scores of the snapshots.

    Args:
        folder: the run's folder.
        timeline: the snapshots, as (row, step).
        metrics: what was scored at each.
        labels: how tables name the rows.
    """
    lines = []
    for snapshot, (row, step) in timeline.items():
        for name in metrics:
            record = read_score(folder.score(snapshot, name))
            line = {"row": row, "label": labels[row], "step": step, "metric": name}
            lines.append(line | {key: getattr(record, key, None) for key in ("value", "low", "high", "n", "covers")})
    table = pd.DataFrame(lines)
    write_csv(folder.root / "timeline.csv", table)
    _draw(folder, table.dropna(subset=["value"]), metrics)


def _draw(folder: RunFolder, table: pd.DataFrame, metrics: Mapping[str, Metric]) -> None:
    from matplotlib.figure import Figure

    shown = [name for name in metrics if (table["metric"] == name).any() and _varies(table, name)]
    if not shown:
        return
    figure = Figure(figsize=(SIDE_BY_SIDE[0] * len(shown) + 1.6, SIDE_BY_SIDE[1]), layout="constrained")
    panels = figure.subplots(1, len(shown), squeeze=False)[0]
    for panel, name in zip(panels, shown, strict=True):
        part = table[table["metric"] == name]
        rows = list(table["row"].drop_duplicates())
        for row, line in part.sort_values("step", kind="stable").groupby("row", sort=False):
            style = _style(rows.index(row), len(rows))
            panel.plot(line["step"], line["value"], label=line["label"].iloc[0], **style)
            ends = line["low"].astype(float), line["high"].astype(float)
            panel.fill_between(line["step"], *ends, alpha=FILLED / len(rows), color=style["color"], linewidth=0)
            edge = {"color": style["color"], "linestyle": style["linestyle"], "linewidth": EDGE * style["linewidth"]}
            for end in ends:
                panel.plot(line["step"], end, alpha=0.8, zorder=1.5, **edge)
        arrow = "lower" if metrics[name].better == "lower" else "higher"
        panel.set(title=f"{metrics[name].label} ({arrow} is better)", xlabel="training step", ylim=_limits(part))
        panel.grid(alpha=0.3)
    curves = {text: handle for panel in panels for handle, text in zip(*panel.get_legend_handles_labels(), strict=True)}
    panels[-1].legend(curves.values(), curves, loc="center left", bbox_to_anchor=(1.02, 0.5), frameon=False)
    write_atomically(folder.root / "timeline.png", lambda path: figure.savefig(path, format="png", dpi=140))


def _style(number: int, count: int) -> dict[str, Any]:
    """A curve's look: later ones lie on earlier ones and are thinner, so that both are seen where values are equal."""
    above = min(count - 1 - number, MOST_APART)
    return {
        "color": f"C{number % 10}",
        "linestyle": DASHES[number % len(DASHES)],
        "marker": MARKERS[number % len(MARKERS)],
        "linewidth": 1.2 + THICKER * above,
        "markersize": 3.5 + 1.5 * THICKER * above,
        "markerfacecolor": "none",
    }


def _limits(part: pd.DataFrame) -> tuple[float, float]:
    """Where an axis begins and ends: no further than values and intervals reach, so that close curves come apart."""
    ends = part[["value", "low", "high"]].astype(float).to_numpy()
    low, high = float(np.nanmin(ends)), float(np.nanmax(ends))
    return low - MARGIN * (high - low), high + MARGIN * (high - low)


def _varies(table: pd.DataFrame, name: str) -> bool:
    """Whether a metric says anything: NudeNet's rate is 0 throughout on pictograms."""
    values = table.loc[table["metric"] == name, "value"]
    return bool(values.max() > values.min())
