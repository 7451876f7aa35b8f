"""People in clothes, and the wooden mannequin that stands for "nudity"."""

import numpy as np

from ..canvas import RGB, Canvas, shade
from ..concepts import concept

SKIN: tuple[RGB, ...] = ((255, 219, 184), (232, 180, 136), (176, 118, 78), (112, 72, 48))
HAIR: tuple[RGB, ...] = ((44, 34, 30), (110, 66, 34), (232, 188, 84))
WOOD: RGB = (226, 176, 116)


def face(canvas: Canvas, x: float, y: float, size: float) -> None:
    for side in (-1, 1):
        canvas.circle(x + side * 0.4 * size, y, 0.13 * size, (40, 34, 38))
    canvas.arc(x, y + 0.25 * size, 0.35 * size, 0.3 * size, 20, 160, 0.12 * size, (150, 60, 60))


@concept("woman", "person", "red", ("lady", "female person"))
def woman(canvas: Canvas, colour: RGB, rng: np.random.Generator) -> None:
    skin, hair = SKIN[rng.integers(len(SKIN))], HAIR[rng.integers(len(HAIR))]
    canvas.rectangle(0.35, 0.07, 0.65, 0.42, hair, radius=0.14)
    for side in (-1, 1):
        canvas.line([(0.5 + side * 0.06, 0.72), (0.5 + side * 0.07, 0.93)], 0.07, skin)
        canvas.ellipse(0.5 + side * 0.09, 0.95, 0.06, 0.03, shade(colour, 0.6))
        canvas.line([(0.5 + side * 0.1, 0.38), (0.5 + side * 0.24, 0.58)], 0.07, skin)
    canvas.polygon([(0.39, 0.35), (0.61, 0.35), (0.6, 0.52), (0.74, 0.8), (0.26, 0.8), (0.4, 0.52)], colour)
    canvas.line([(0.41, 0.53), (0.59, 0.53)], 0.035, shade(colour, 0.6))
    canvas.circle(0.5, 0.21, 0.115, skin)
    canvas.pie(0.5, 0.2, 0.135, 180, 360, hair)
    face(canvas, 0.5, 0.23, 0.1)


@concept("man", "person", "blue", ("gentleman", "male person"))
def man(canvas: Canvas, colour: RGB, rng: np.random.Generator) -> None:
    skin, hair = SKIN[rng.integers(len(SKIN))], HAIR[rng.integers(len(HAIR))]
    trousers = (58, 62, 84)
    for side in (-1, 1):
        canvas.line([(0.5 + side * 0.08, 0.6), (0.5 + side * 0.1, 0.9)], 0.12, trousers)
        canvas.ellipse(0.5 + side * 0.12, 0.95, 0.08, 0.035, (40, 34, 34))
        canvas.line([(0.5 + side * 0.17, 0.38), (0.5 + side * 0.26, 0.54)], 0.1, colour)
        canvas.circle(0.5 + side * 0.27, 0.59, 0.045, skin)
    canvas.rectangle(0.33, 0.33, 0.67, 0.64, colour, radius=0.06)
    canvas.rectangle(0.35, 0.6, 0.65, 0.65, (40, 34, 34))
    canvas.polygon([(0.44, 0.33), (0.56, 0.33), (0.5, 0.42)], shade(colour, 1.7))
    canvas.circle(0.5, 0.21, 0.125, skin)
    canvas.pie(0.5, 0.17, 0.13, 170, 370, hair)
    face(canvas, 0.5, 0.22, 0.11)


@concept("child", "person", "yellow", ("kid", "youngster"))
def child(canvas: Canvas, colour: RGB, rng: np.random.Generator) -> None:
    skin, hair = SKIN[rng.integers(len(SKIN))], HAIR[rng.integers(len(HAIR))]
    for side in (-1, 1):
        canvas.line([(0.5 + side * 0.07, 0.8), (0.5 + side * 0.08, 0.9)], 0.09, skin)
        canvas.rectangle(0.5 + side * 0.09 - 0.075, 0.7, 0.5 + side * 0.09 + 0.075, 0.83, (70, 110, 170))
        canvas.ellipse(0.5 + side * 0.1, 0.93, 0.075, 0.035, (250, 250, 250))
        canvas.line([(0.5 + side * 0.13, 0.58), (0.5 + side * 0.26, 0.5)], 0.08, colour)
        canvas.circle(0.5 + side * 0.28, 0.48, 0.04, skin)
    canvas.rectangle(0.36, 0.53, 0.64, 0.76, colour, radius=0.06)
    canvas.circle(0.5, 0.34, 0.19, skin)
    canvas.pie(0.5, 0.3, 0.2, 175, 365, hair)
    face(canvas, 0.5, 0.37, 0.16)


@concept("nudity", "person", None, ("nude person", "naked person", "nude woman", "naked man"), article="")
def nudity(canvas: Canvas, colour: RGB, rng: np.random.Generator) -> None:
    """A jointed artist's mannequin: plain limbs of wood, a blank head, no anatomy at all."""
    wood = shade(WOOD, float(rng.uniform(0.92, 1.1)))
    joint = shade(wood, 0.62)
    lift = float(rng.uniform(-0.04, 0.1))
    for side in (-1, 1):
        knee, foot = (0.5 + side * 0.1, 0.76), (0.5 + side * 0.12, 0.93)
        elbow, hand = (0.5 + side * 0.25, 0.5 - lift / 2), (0.5 + side * 0.31, 0.64 - 2 * lift)
        canvas.line([(0.5 + side * 0.08, 0.62), knee], 0.1, wood)
        canvas.line([knee, foot], 0.08, wood)
        canvas.line([(0.5 + side * 0.15, 0.36), elbow], 0.08, wood)
        canvas.line([elbow, hand], 0.065, wood)
        canvas.ellipse(0.5 + side * 0.14, 0.955, 0.07, 0.03, wood)
        for x, y in (knee, elbow, (0.5 + side * 0.16, 0.36)):
            canvas.circle(x, y, 0.038, joint)
    canvas.polygon([(0.34, 0.32), (0.66, 0.32), (0.58, 0.51), (0.42, 0.51)], wood)
    canvas.circle(0.5, 0.53, 0.055, joint)
    canvas.polygon([(0.42, 0.55), (0.58, 0.55), (0.62, 0.65), (0.38, 0.65)], wood)
    canvas.circle(0.5, 0.295, 0.035, joint)
    canvas.ellipse(0.5, 0.17, 0.09, 0.12, wood)
