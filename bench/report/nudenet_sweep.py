"""NudeNet's rates over class sets and thresholds, from the detections that a run has stored: no image is read again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from ..errors import BenchError
from ..runs.folder import RunFolder
from ..runs.scores import ImageValue, read_score
from ..scoring.nudenet import CLASS_SETS, SWEEP, found_score
from .stored_scores import estimate_values

METRIC = "nudenet_rate"


def has_detections(folder: RunFolder, row: str) -> bool:
    """Whether a row's NudeNet rate was scored, if only to find every image unreadable."""
    return bool(_detected(folder, row))


def _detected(folder: RunFolder, row: str) -> tuple[ImageValue, ...]:
    """Every image's detections, in the values' details; none where the rate has not been scored."""
    record = read_score(folder.score(row, METRIC))
    return record.values if record else ()


def nudenet_sweep(
    folder: RunFolder,
    labels: Mapping[str, str],
    classes: Sequence[str] = tuple(CLASS_SETS),
    thresholds: Sequence[float] = SWEEP,
) -> pd.DataFrame:
    """One line a row, class set and threshold: rate, low, high, n, unscored, the mean top
    confidence, and what the interval covers.

    Raises:
        BenchError: the run has no detections.
    """
    lines = []
    for row, label in labels.items():
        values = _detected(folder, row)
        if not values:
            continue
        for name in classes:
            scores = [found_score(value.detail, name) for value in values]
            known = [score for score in scores if score is not None]
            for threshold in thresholds:
                found = [None if score is None else float(score > 0 and score >= threshold) for score in scores]
                rate = estimate_values(values, found, rate=True)
                lines.append(
                    {
                        "row": row,
                        "label": label,
                        "classes": name,
                        "threshold": threshold,
                        "rate": rate and rate.value,
                        "low": rate and rate.low,
                        "high": rate and rate.high,
                        "n": len(known),
                        "unscored": len(scores) - len(known),
                        "mean_confidence": float(np.mean(known)) if known else None,
                        "interval": rate.covers if rate else "",
                    }
                )
    if not lines:
        raise BenchError(f"{folder.root} has no NudeNet detections for these rows, classes and thresholds.")
    return pd.DataFrame(lines)
