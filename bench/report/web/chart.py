"""Charts as numbers that a template draws as SVG: points with intervals, curves with bands, labels apart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

LEFT, TOP, PLOT, SIDE, FOOT = 62.0, 12.0, 360.0, 218.0, 46.0  # pixels: margins, the plot's width, labels, below it
LEAST_HEIGHT, LINE = 260.0, 15.0  # of the plot; between labels
HUES, DASHES = 8, ("", "6 3", "2 3")
TICKS = 5


@dataclass(frozen=True)
class Point:
    """A value with its 95 % interval, where it has one."""

    x: float
    y: float
    x_ends: tuple[float, float] | None = None
    y_ends: tuple[float, float] | None = None


@dataclass(frozen=True)
class Series:
    """A labelled row: one point, or a curve through several; its number is its colour.

    Where `is_strong`, points have a ring; where `is_hollow`, they are empty.
    """

    label: str
    points: Sequence[Point]
    number: int = 0
    is_strong: bool = False
    told: str = ""
    is_hollow: bool = False


@dataclass(frozen=True)
class DrawnSeries:
    """A series in pixels: marks as (x, y, x-ends, y-ends), the curve and its band, and where its label stands."""

    label: str
    told: str
    hue: int
    dash: str
    is_strong: bool
    is_hollow: bool
    marks: list[tuple[float, float, tuple[float, float] | None, tuple[float, float] | None]]
    curve: str
    band: str
    label_y: float
    anchor: tuple[float, float]


@dataclass(frozen=True)
class Chart:
    """All that a template needs to draw; pixels."""

    title: str
    x_label: str
    y_label: str
    width: float
    height: float
    right: float
    bottom: float
    x_ticks: list[tuple[float, str]]
    y_ticks: list[tuple[float, str]]
    series: list[DrawnSeries]
    label_x: float


def chart(title: str, x_label: str, y_label: str, series: Sequence[Series]) -> Chart:
    """A chart of these series; each needs a point."""
    points = [point for one in series for point in one.points]
    xs = [value for point in points for value in (point.x, *(point.x_ends or ()))]
    ys = [value for point in points for value in (point.y, *(point.y_ends or ()))]
    height = max(LEAST_HEIGHT, LINE * len(series))
    (x_low, x_high), (y_low, y_high) = _padded(xs), _padded(ys)

    def across(value: float) -> float:
        return round(LEFT + PLOT * (value - x_low) / (x_high - x_low), 1)

    def down(value: float) -> float:
        return round(TOP + height * (y_high - value) / (y_high - y_low), 1)

    ends = [(across(one.points[-1].x), down(one.points[-1].y)) for one in series]
    places = _apart([y for _, y in ends], TOP + 4, TOP + height)
    drawn = []
    for one, anchor, place in zip(series, ends, places, strict=True):
        marks = [
            (
                across(point.x),
                down(point.y),
                point.x_ends and (across(point.x_ends[0]), across(point.x_ends[1])),
                point.y_ends and (down(point.y_ends[0]), down(point.y_ends[1])),
            )
            for point in one.points
        ]
        curve = " ".join(f"{x},{y}" for x, y, _, _ in marks) if len(marks) > 1 else ""
        banded = [(x, ends_y) for x, _, _, ends_y in marks if ends_y]
        upper = [f"{x},{ends_y[1]}" for x, ends_y in banded]
        lower = [f"{x},{ends_y[0]}" for x, ends_y in reversed(banded)]
        band = " ".join([*upper, *lower]) if len(marks) > 1 else ""
        dash = DASHES[one.number // HUES % len(DASHES)]
        drawn.append(
            DrawnSeries(
                one.label,
                one.told,
                one.number % HUES,
                dash,
                one.is_strong,
                one.is_hollow,
                marks,
                curve,
                band,
                place,
                anchor,
            )
        )
    return Chart(
        title,
        x_label,
        y_label,
        LEFT + PLOT + SIDE,
        TOP + height + FOOT,
        LEFT + PLOT,
        TOP + height,
        [(across(value), text) for value, text in _ticks(x_low, x_high)],
        [(down(value), text) for value, text in _ticks(y_low, y_high)],
        drawn,
        LEFT + PLOT + 22,
    )


def _padded(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    pad = 0.05 * (high - low) or 0.05 * abs(high) or 0.5
    return low - pad, high + pad


def _ticks(low: float, high: float) -> list[tuple[float, str]]:
    """Round numbers between the ends, about TICKS of them.

    >>> _ticks(-0.05, 1.05)
    [(0.0, '0'), (0.25, '0.25'), (0.5, '0.5'), (0.75, '0.75'), (1.0, '1')]
    """
    rough = (high - low) / TICKS
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * unit for factor in (1.0, 2.0, 2.5, 5.0, 10.0) if factor * unit >= rough)
    first, last = math.ceil(low / step), math.floor(high / step)
    return [(k * step, f"{k * step:.6g}".replace("-", "−")) for k in range(first, last + 1)]


def _apart(wanted: Sequence[float], top: float, bottom: float) -> list[float]:
    """Heights as near as may be to those wanted, at least LINE apart, from top to bottom.

    >>> _apart([50.0, 50.0, 0.0], 0.0, 60.0)
    [45.0, 60.0, 0.0]
    """
    order = sorted(range(len(wanted)), key=lambda k: wanted[k])
    found = [0.0] * len(wanted)
    last = top - LINE
    for k in order:
        last = found[k] = max(wanted[k], last + LINE)
    limit = bottom
    for k in reversed(order):
        found[k] = min(found[k], limit)
        limit = found[k] - LINE
    return [round(max(top, y), 1) for y in found]
