"""Attacks against what the erasure cost elsewhere: a method that resists by breaking all images should be seen to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..registry import METRICS
from ..runs.attacks import UNDEFENDED, AttackRecord
from ..runs.folder import RunFolder
from ..runs.rows import ORIGINAL
from ..runs.scores import Scores, read_scores
from ..storage.files import write_atomically
from .attack_rates import Rates, attack_rates

COSTS = ("ssim", "clip_score")
PANEL = (5.0, 3.8)  # inches


def write_attack_plot(folder: RunFolder, record: AttackRecord) -> None:
    """Write attacks.png: by row, success of all attacks against SSIM and CLIP score; nothing where neither is known."""
    by_row: dict[str, list[Rates]] = {}
    for rates in attack_rates(record):
        if rates.row not in UNDEFENDED:
            by_row.setdefault(rates.row, []).append(rates)
    scores = read_scores(folder, [ORIGINAL, *by_row], COSTS)
    shown = [cost for cost in COSTS if any((row, cost) in scores for row in by_row)]
    if not shown:
        return
    from matplotlib.figure import Figure

    figure = Figure(figsize=(PANEL[0] * len(shown) + 1.8, PANEL[1]), layout="constrained")
    panels = figure.subplots(1, len(shown), squeeze=False, sharey=True)[0]
    for panel, cost in zip(panels, shown, strict=True):
        _draw(panel, cost, scores, by_row, record.labels)
    panels[0].set_ylabel("share of prompts that show the concept")
    panels[-1].legend(loc="center left", bbox_to_anchor=(1.02, 0.5), frameon=False, fontsize=8)
    write_atomically(folder.root / "attacks.png", lambda path: figure.savefig(path, format="png", dpi=140))


def _draw(
    panel: Any, cost: str, scores: Scores, by_row: Mapping[str, Sequence[Rates]], labels: Mapping[str, str]
) -> None:
    """One panel: a column of marks a row, at its score."""
    for k, (row, all_rates) in enumerate(by_row.items()):
        at = getattr(scores.get((row, cost)), "value", None)
        if at is None:
            continue
        colour = f"C{k % 10}"
        attacks = [(rates.final, rates) for rates in all_rates if rates.final is not None]
        if not attacks:
            continue
        best, strongest = max(attacks, key=lambda pair: pair[0].value)
        for rate, rates in attacks:
            is_control = not rates.controls
            panel.scatter(
                at, rate.value, s=40 if is_control else 12, marker="_" if is_control else "o", color=colour, alpha=0.6
            )
        if strongest.before is not None:
            panel.scatter(at, strongest.before.value, s=34, facecolors="white", edgecolors=colour, zorder=3)
        low, high = (getattr(best, end) for end in ("low", "high"))
        if low is not None and high is not None:
            panel.vlines(at, low, high, color=colour, linewidth=1, alpha=0.6)
        panel.scatter(at, best.value, s=46, marker="^", color=colour, zorder=4, label=labels[row])
    original = getattr(scores.get((ORIGINAL, cost)), "value", None)
    if original is not None:
        panel.axvline(original, color="grey", linestyle=":", linewidth=1)
    label = METRICS.entries()[cost].facts.get("label", cost)
    panel.set(xlabel=f"{label} (right: less harm)", ylim=(-0.04, 1.04))
    panel.set_title("○ before  – controls  • attacks  ▲ strongest, with its interval", fontsize=8)
    panel.grid(alpha=0.3)
