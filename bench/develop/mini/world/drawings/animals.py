"""Animals."""

import numpy as np

from ..canvas import RGB, Canvas, shade
from ..concepts import concept

INK: RGB = (34, 30, 36)


def _eye(canvas: Canvas, x: float, y: float, size: float) -> None:
    canvas.circle(x, y, size, (255, 255, 255))
    canvas.circle(x, y, size * 0.55, INK)


@concept("cat", "animal", "orange", ("house cat", "tabby"))
def cat(canvas: Canvas, colour: RGB, rng: np.random.Generator) -> None:
    canvas.line([(0.66, 0.86), (0.88, 0.8), (0.86, 0.56)], 0.085, colour)
    canvas.ellipse(0.5, 0.72, 0.23, 0.22, colour)
    canvas.ellipse(0.5, 0.78, 0.11, 0.13, shade(colour, 1.5))
    for side in (-1, 1):
        tip = 0.5 + side * 0.24
        canvas.polygon([(tip, 0.08), (0.5 + side * 0.05, 0.24), (0.5 + side * 0.25, 0.36)], colour)
        canvas.polygon([(tip - side * 0.03, 0.14), (0.5 + side * 0.1, 0.24), (0.5 + side * 0.2, 0.3)], (250, 160, 170))
        canvas.ellipse(0.5 + side * 0.12, 0.93, 0.09, 0.04, shade(colour, 1.5))
    canvas.ellipse(0.5, 0.37, 0.25, 0.2, colour)
    for side in (-1, 1):
        canvas.circle(0.5 + side * 0.11, 0.35, 0.05, (196, 230, 90))
        canvas.ellipse(0.5 + side * 0.11, 0.35, 0.02, 0.045, INK)
        canvas.line([(0.5 + side * 0.12, 0.45), (0.5 + side * 0.3, 0.43)], 0.016, (250, 250, 250))
    canvas.polygon([(0.46, 0.42), (0.54, 0.42), (0.5, 0.47)], (240, 120, 140))


@concept("dog", "animal", "brown", ("hound", "doggy"))
def dog(canvas: Canvas, colour: RGB, rng: np.random.Generator) -> None:
    canvas.line([(0.18, 0.52), (0.07, 0.3)], 0.075, colour)
    for x in (0.2, 0.32, 0.54, 0.66):
        canvas.line([(x, 0.6), (x, 0.88)], 0.09, shade(colour, 0.85))
    canvas.rectangle(0.13, 0.44, 0.72, 0.7, colour, radius=0.1)
    canvas.rectangle(0.56, 0.2, 0.82, 0.52, colour, radius=0.1)
    canvas.rectangle(0.72, 0.32, 0.96, 0.48, shade(colour, 1.3), radius=0.06)
    canvas.ellipse(0.61, 0.33, 0.07, 0.15, shade(colour, 0.55))
    canvas.ellipse(0.93, 0.35, 0.045, 0.04, INK)
    _eye(canvas, 0.77, 0.29, 0.045)
    canvas.line([(0.58, 0.53), (0.78, 0.53)], 0.055, (226, 44, 50))


@concept("bird", "animal", "blue", ("songbird", "birdie"))
def bird(canvas: Canvas, colour: RGB, rng: np.random.Generator) -> None:
    for x in (0.44, 0.54):
        canvas.line([(x, 0.72), (x, 0.92), (x + 0.07, 0.93)], 0.03, (236, 150, 40))
    canvas.polygon([(0.02, 0.4), (0.06, 0.6), (0.36, 0.66), (0.3, 0.48)], shade(colour, 0.65))
    canvas.ellipse(0.46, 0.55, 0.28, 0.22, colour)
    canvas.ellipse(0.52, 0.63, 0.17, 0.13, shade(colour, 1.55))
    canvas.circle(0.68, 0.31, 0.17, colour)
    canvas.polygon([(0.82, 0.26), (0.98, 0.33), (0.82, 0.39)], (246, 168, 36))
    canvas.polygon([(0.22, 0.44), (0.52, 0.46), (0.34, 0.7)], shade(colour, 0.65))
    _eye(canvas, 0.72, 0.28, 0.05)


@concept("fish", "animal", "orange", ("goldfish", "little fish"))
def fish(canvas: Canvas, colour: RGB, rng: np.random.Generator) -> None:
    canvas.polygon([(0.04, 0.26), (0.32, 0.5), (0.04, 0.74), (0.13, 0.5)], shade(colour, 0.75))
    canvas.polygon([(0.42, 0.3), (0.58, 0.14), (0.72, 0.32)], shade(colour, 0.75))
    canvas.polygon([(0.46, 0.7), (0.54, 0.86), (0.66, 0.68)], shade(colour, 0.75))
    canvas.ellipse(0.58, 0.5, 0.37, 0.24, colour)
    for x in (0.38, 0.54):
        canvas.line([(x, 0.36), (x, 0.64)], 0.055, shade(colour, 1.75))
    _eye(canvas, 0.8, 0.44, 0.06)


@concept("rabbit", "animal", "white", ("bunny", "hare"))
def rabbit(canvas: Canvas, colour: RGB, rng: np.random.Generator) -> None:
    for side in (-1, 1):
        canvas.ellipse(0.5 + side * 0.12, 0.19, 0.075, 0.19, colour)
        canvas.ellipse(0.5 + side * 0.12, 0.2, 0.035, 0.13, (250, 160, 180))
        canvas.ellipse(0.5 + side * 0.17, 0.92, 0.12, 0.055, shade(colour, 0.85))
    canvas.ellipse(0.5, 0.75, 0.24, 0.2, colour)
    canvas.circle(0.5, 0.46, 0.2, colour)
    for side in (-1, 1):
        canvas.circle(0.5 + side * 0.09, 0.43, 0.035, INK)
    canvas.polygon([(0.46, 0.5), (0.54, 0.5), (0.5, 0.55)], (244, 110, 140))
    canvas.ellipse(0.5, 0.8, 0.12, 0.11, shade(colour, 0.85))


@concept("butterfly", "animal", "purple", ("moth", "monarch butterfly"))
def butterfly(canvas: Canvas, colour: RGB, rng: np.random.Generator) -> None:
    for side in (-1, 1):
        canvas.ellipse(0.5 + side * 0.25, 0.35, 0.22, 0.23, colour)
        canvas.ellipse(0.5 + side * 0.2, 0.7, 0.17, 0.18, shade(colour, 0.75))
        canvas.circle(0.5 + side * 0.28, 0.33, 0.085, (255, 240, 170))
        canvas.circle(0.5 + side * 0.22, 0.71, 0.06, (255, 240, 170))
        canvas.line([(0.5, 0.24), (0.5 + side * 0.12, 0.06)], 0.03, INK)
    canvas.rectangle(0.455, 0.2, 0.545, 0.84, INK, radius=0.045)


@concept("turtle", "animal", "green", ("tortoise", "sea turtle"))
def turtle(canvas: Canvas, colour: RGB, rng: np.random.Generator) -> None:
    skin = (170, 200, 90)
    canvas.polygon([(0.02, 0.74), (0.14, 0.62), (0.18, 0.72)], skin)
    for x in (0.24, 0.6):
        canvas.rectangle(x - 0.07, 0.64, x + 0.07, 0.84, skin, radius=0.05)
    canvas.rectangle(0.64, 0.5, 0.92, 0.66, skin, radius=0.07)
    canvas.circle(0.86, 0.48, 0.11, skin)
    canvas.pie(0.42, 0.68, 0.34, 180, 360, colour)
    canvas.rectangle(0.08, 0.65, 0.76, 0.72, shade(colour, 0.6), radius=0.03)
    for x, y in ((0.26, 0.56), (0.42, 0.48), (0.58, 0.56)):
        canvas.circle(x, y, 0.06, shade(colour, 0.65))
    canvas.circle(0.89, 0.45, 0.028, INK)
