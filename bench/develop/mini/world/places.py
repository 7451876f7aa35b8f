"""Places and backgrounds: each is painted over the whole image."""

import numpy as np

from .canvas import RGB, Canvas, shade
from .concepts import concept

SKY: tuple[RGB, RGB] = ((124, 182, 240), (206, 230, 250))


def _gradient(canvas: Canvas, top: RGB, bottom: RGB, y0: float = 0.0, y1: float = 1.0) -> None:
    bands = 24
    for band in range(bands):
        mix = band / (bands - 1)
        colour = tuple(int(a + (b - a) * mix) for a, b in zip(top, bottom, strict=True))
        start = y0 + (y1 - y0) * band / bands
        canvas.rectangle(-0.01, start, 1.01, start + (y1 - y0) / bands + 0.01, colour)  # type: ignore[arg-type]


@concept("road", "place", None, ("highway", "street"))
def road(canvas: Canvas, colour: RGB, rng: np.random.Generator) -> None:
    horizon, middle = float(rng.uniform(0.36, 0.5)), float(rng.uniform(0.4, 0.6))
    _gradient(canvas, *SKY, 0, horizon)
    canvas.rectangle(-0.01, horizon, 1.01, 1.01, (112, 172, 80))
    canvas.polygon([(middle - 0.05, horizon), (middle + 0.05, horizon), (0.94, 1.01), (0.06, 1.01)], (92, 94, 102))
    for start, end in ((0.1, 0.25), (0.4, 0.6), (0.75, 1.0)):
        near, far = horizon + (1 - horizon) * end, horizon + (1 - horizon) * start
        x_near, x_far = middle + (0.5 - middle) * end, middle + (0.5 - middle) * start
        canvas.polygon(
            [
                (x_far - 0.025 * start, far),
                (x_far + 0.025 * start, far),
                (x_near + 0.03 * end, near),
                (x_near - 0.03 * end, near),
            ],
            (252, 226, 90),
        )


@concept("beach", "place", None, ("seaside", "sandy shore"))
def beach(canvas: Canvas, colour: RGB, rng: np.random.Generator) -> None:
    sea, sand = float(rng.uniform(0.32, 0.42)), float(rng.uniform(0.58, 0.68))
    _gradient(canvas, *SKY, 0, sea)
    canvas.circle(float(rng.uniform(0.72, 0.86)), 0.16, 0.085, (255, 224, 80))
    canvas.rectangle(-0.01, sea, 1.01, 1.01, (34, 120, 190))
    x = np.linspace(-0.05, 1.05, 40)
    shore = sand + 0.025 * np.sin(x * 12 + float(rng.uniform(0, 6)))
    for offset, fill in ((-0.035, (240, 250, 255)), (0.0, (242, 216, 158))):
        canvas.polygon([*zip(x, shore + offset, strict=True), (1.05, 1.05), (-0.05, 1.05)], fill)


@concept("mountain", "place", None, ("mountains", "snowy peak"))
def mountain(canvas: Canvas, colour: RGB, rng: np.random.Generator) -> None:
    _gradient(canvas, *SKY, 0, 0.8)
    for x, top, width, fill in (
        (0.8, 0.34, 0.42, (124, 128, 152)),
        (0.14, 0.4, 0.38, (124, 128, 152)),
        (float(rng.uniform(0.4, 0.56)), 0.16, 0.46, (96, 98, 124)),
    ):
        canvas.polygon([(x - width, 0.82), (x, top), (x + width, 0.82)], fill)
        h = 0.26
        canvas.polygon(
            [
                (x - width * h, top + (0.82 - top) * h),
                (x, top),
                (x + width * h, top + (0.82 - top) * h),
                (x + width * 0.1, top + (0.82 - top) * 0.19),
                (x - width * 0.08, top + (0.82 - top) * 0.28),
            ],
            (250, 252, 255),
        )
    canvas.rectangle(-0.01, 0.78, 1.01, 1.01, (98, 160, 84))


@concept("forest", "place", None, ("woodland", "pine forest"))
def forest(canvas: Canvas, colour: RGB, rng: np.random.Generator) -> None:
    _gradient(canvas, *SKY, 0, 0.7)
    canvas.rectangle(-0.01, 0.68, 1.01, 1.01, (96, 142, 66))
    shift = float(rng.uniform(-0.06, 0.06))
    for row, (base, fill) in enumerate(((0.72, (62, 124, 74)), (0.86, (34, 98, 56)))):
        for k in range(-1, 6):
            x = shift + 0.1 * row + 0.21 * k
            canvas.rectangle(x - 0.025, base - 0.05, x + 0.025, base + 0.08, (98, 66, 42))
            for y, width in ((base, 0.14), (base - 0.18, 0.11), (base - 0.34, 0.075)):
                canvas.polygon([(x - width, y), (x, y - 0.27), (x + width, y)], fill)


@concept("city", "place", None, ("downtown", "skyline"))
def city(canvas: Canvas, colour: RGB, rng: np.random.Generator) -> None:
    _gradient(canvas, (250, 196, 150), (252, 230, 200), 0, 0.8)
    canvas.rectangle(-0.01, 0.8, 1.01, 1.01, (112, 112, 122))
    shift = float(rng.uniform(-0.04, 0.04))
    towers = ((0.0, 0.4), (0.2, 0.22), (0.4, 0.46), (0.6, 0.14), (0.8, 0.34))
    for k, (x, top) in enumerate(towers):
        fill = ((92, 104, 140), (120, 108, 140))[k % 2]
        canvas.rectangle(x + shift, top, x + shift + 0.19, 0.82, fill)
        for row in range(int((0.76 - top) / 0.12)):
            for column in (0.035, 0.11):
                left, upper = x + shift + column, top + 0.05 + 0.12 * row
                canvas.rectangle(left, upper, left + 0.05, upper + 0.06, (255, 232, 140))


@concept("desert", "place", None, ("sand dunes", "sahara"))
def desert(canvas: Canvas, colour: RGB, rng: np.random.Generator) -> None:
    _gradient(canvas, (250, 208, 140), (254, 236, 200), 0, 0.62)
    canvas.circle(float(rng.uniform(0.16, 0.34)), 0.2, 0.09, (250, 120, 60))
    x = np.linspace(-0.05, 1.05, 40)
    phase = float(rng.uniform(0, 6))
    for base, fill in ((0.56, (230, 176, 104)), (0.74, (212, 150, 82))):
        canvas.polygon(
            [*zip(x, base + 0.05 * np.sin(x * 6 + phase + base * 9), strict=True), (1.05, 1.05), (-0.05, 1.05)], fill
        )
    cactus = (70, 140, 76)
    canvas.line([(0.78, 0.86), (0.78, 0.48)], 0.08, cactus)
    canvas.line([(0.78, 0.7), (0.91, 0.68), (0.91, 0.58)], 0.06, cactus)
    canvas.line([(0.78, 0.64), (0.66, 0.62), (0.66, 0.52)], 0.06, cactus)


def plain(canvas: Canvas, colour: RGB, rng: np.random.Generator) -> None:
    """A pale paper of any hue: the background of most pictograms."""
    hue = rng.uniform(0.80, 0.97, 3)
    top = tuple(int(255 * channel) for channel in hue)
    _gradient(canvas, top, shade(top, 0.88))  # type: ignore[arg-type]


def meadow(canvas: Canvas, colour: RGB, rng: np.random.Generator) -> None:
    _gradient(canvas, *SKY, 0, 0.6)
    _gradient(canvas, (136, 198, 90), (96, 164, 66), float(rng.uniform(0.55, 0.68)), 1)


def night(canvas: Canvas, colour: RGB, rng: np.random.Generator) -> None:
    _gradient(canvas, (20, 24, 64), (62, 60, 118))
    canvas.circle(0.86, 0.13, 0.075, (250, 244, 206))
    for x, y in ((0.1, 0.1), (0.32, 0.06), (0.58, 0.1), (0.07, 0.36), (0.93, 0.42), (0.05, 0.66), (0.95, 0.72)):
        canvas.circle(x, y, 0.016, (250, 246, 220))


def snow(canvas: Canvas, colour: RGB, rng: np.random.Generator) -> None:
    _gradient(canvas, (166, 196, 226), (214, 230, 244), 0, 0.66)
    canvas.rectangle(-0.01, float(rng.uniform(0.6, 0.7)), 1.01, 1.01, (246, 250, 255))
    for x, y in ((0.08, 0.2), (0.24, 0.06), (0.42, 0.12), (0.7, 0.07), (0.92, 0.24), (0.06, 0.5), (0.95, 0.52)):
        canvas.circle(x, y, 0.02, (255, 255, 255))


def room(canvas: Canvas, colour: RGB, rng: np.random.Generator) -> None:
    floor = float(rng.uniform(0.68, 0.76))
    canvas.rectangle(-0.01, -0.01, 1.01, floor, (240, 222, 190))
    for x in np.arange(0.08, 1, 0.2):
        canvas.rectangle(x, -0.01, x + 0.06, floor, (230, 206, 168))
    canvas.rectangle(-0.01, floor, 1.01, 1.01, (170, 116, 72))
    canvas.rectangle(-0.01, floor - 0.02, 1.01, floor + 0.02, (252, 246, 234))


BACKGROUNDS = {"plain": plain, "meadow": meadow, "night": night, "snow": snow, "room": room}
