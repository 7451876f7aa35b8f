"""Objects, plants and buildings."""

import math

import numpy as np

from ..canvas import RGB, Canvas, shade
from ..concepts import concept

INK: RGB = (40, 36, 44)
BRASS: RGB = (226, 172, 50)
WOOD: RGB = (134, 88, 50)


@concept("notebook", "object", "blue", ("notepad", "exercise book"))
def notebook(canvas: Canvas, colour: RGB, rng: np.random.Generator) -> None:
    canvas.rectangle(0.26, 0.1, 0.86, 0.92, shade(colour, 0.6), radius=0.04)
    canvas.rectangle(0.22, 0.08, 0.82, 0.88, colour, radius=0.04)
    canvas.rectangle(0.38, 0.2, 0.74, 0.42, (252, 250, 240))
    for y in (0.27, 0.35):
        canvas.line([(0.43, y), (0.69, y)], 0.03, INK)
    for y in (0.18, 0.33, 0.48, 0.63, 0.78):
        canvas.line([(0.14, y), (0.28, y)], 0.045, (150, 154, 164))


@concept("bamboo", "plant", None, ("bamboo stalks", "bamboo plant"), article="")
def bamboo(canvas: Canvas, colour: RGB, rng: np.random.Generator) -> None:
    stalk, leaf = (134, 190, 70), (60, 136, 56)
    for x, top in ((0.24, 0.1), (0.5, 0.03), (0.76, 0.14)):
        canvas.rectangle(x - 0.055, top, x + 0.055, 0.97, stalk)
        for y in (0.26, 0.5, 0.74):
            canvas.rectangle(x - 0.07, y, x + 0.07, y + 0.045, shade(stalk, 0.6))
    for x, y, side in (
        (0.3, 0.25, 1),
        (0.56, 0.49, 1),
        (0.44, 0.26, -1),
        (0.7, 0.62, -1),
        (0.18, 0.5, -1),
        (0.82, 0.3, 1),
    ):
        canvas.polygon(
            [(x, y), (x + side * 0.09, y - 0.09), (x + side * 0.2, y - 0.05), (x + side * 0.1, y + 0.02)], leaf
        )


@concept("french horn", "object", None, ("horn instrument", "brass horn"))
def french_horn(canvas: Canvas, colour: RGB, rng: np.random.Generator) -> None:
    dark = shade(BRASS, 0.6)
    canvas.polygon([(0.44, 0.62), (0.58, 0.76), (0.34, 0.98), (0.06, 0.8), (0.14, 0.66)], BRASS)
    canvas.ellipse(0.18, 0.82, 0.15, 0.12, dark)
    canvas.ring(0.56, 0.46, 0.31, 0.075, BRASS)
    canvas.ring(0.56, 0.46, 0.19, 0.06, dark)
    canvas.line([(0.78, 0.26), (0.92, 0.08)], 0.06, BRASS)
    for x in (0.48, 0.56, 0.64):
        canvas.rectangle(x - 0.025, 0.36, x + 0.025, 0.56, shade(BRASS, 1.5))


@concept("parachute", "object", "red", ("skydiving chute", "paraglider"))
def parachute(canvas: Canvas, colour: RGB, rng: np.random.Generator) -> None:
    for x in (0.06, 0.35, 0.65, 0.94):
        canvas.line([(x, 0.42), (0.5, 0.82)], 0.02, INK)
    canvas.pie(0.5, 0.44, 0.46, 180, 360, colour)
    canvas.polygon([(0.22, 0.44), (0.36, 0.44), (0.46, 0.0), (0.32, 0.04)], shade(colour, 1.8))
    canvas.polygon([(0.78, 0.44), (0.64, 0.44), (0.54, 0.0), (0.68, 0.04)], shade(colour, 1.8))
    canvas.rectangle(0.4, 0.78, 0.6, 0.96, (150, 106, 60), radius=0.03)


@concept("ball", "object", "red", ("beach ball", "round ball"))
def ball(canvas: Canvas, colour: RGB, rng: np.random.Generator) -> None:
    canvas.circle(0.5, 0.5, 0.38, (250, 250, 246))
    for start in (30, 150, 270):
        canvas.pie(0.5, 0.5, 0.38, start, start + 60, colour)
    canvas.circle(0.5, 0.5, 0.08, shade(colour, 0.6))


@concept("cup", "object", "orange", ("coffee cup", "teacup"))
def cup(canvas: Canvas, colour: RGB, rng: np.random.Generator) -> None:
    canvas.ring(0.74, 0.56, 0.18, 0.075, shade(colour, 0.8))
    canvas.polygon([(0.16, 0.32), (0.74, 0.32), (0.66, 0.88), (0.24, 0.88)], colour)
    canvas.ellipse(0.45, 0.32, 0.29, 0.09, shade(colour, 1.5))
    canvas.ellipse(0.45, 0.33, 0.23, 0.06, (92, 54, 34))
    for x in (0.36, 0.54):
        canvas.line([(x, 0.2), (x + 0.04, 0.13), (x, 0.06)], 0.035, (214, 218, 226))


@concept("guitar", "object", "brown", ("acoustic guitar", "ukulele"))
def guitar(canvas: Canvas, colour: RGB, rng: np.random.Generator) -> None:
    canvas.rectangle(0.46, 0.1, 0.54, 0.6, shade(WOOD, 0.75))
    canvas.rectangle(0.42, 0.02, 0.58, 0.14, INK, radius=0.03)
    canvas.circle(0.5, 0.52, 0.18, colour)
    canvas.circle(0.5, 0.75, 0.24, colour)
    canvas.circle(0.5, 0.59, 0.085, INK)
    canvas.rectangle(0.39, 0.79, 0.61, 0.84, INK)


@concept("clock", "object", "green", ("wall clock", "timepiece"))
def clock(canvas: Canvas, colour: RGB, rng: np.random.Generator) -> None:
    canvas.circle(0.5, 0.5, 0.42, colour)
    canvas.circle(0.5, 0.5, 0.33, (252, 250, 244))
    for hour in range(0, 12, 3):
        angle = math.pi * hour / 6
        canvas.circle(0.5 + 0.26 * math.sin(angle), 0.5 - 0.26 * math.cos(angle), 0.035, INK)
    canvas.line([(0.5, 0.5), (0.5, 0.27)], 0.04, INK)
    canvas.line([(0.5, 0.5), (0.66, 0.58)], 0.045, (214, 44, 50))


@concept("umbrella", "object", "purple", ("parasol", "rain umbrella"), article="an")
def umbrella(canvas: Canvas, colour: RGB, rng: np.random.Generator) -> None:
    canvas.line([(0.5, 0.1), (0.5, 0.84)], 0.045, WOOD)
    canvas.arc(0.59, 0.82, 0.1, 0.11, 0, 180, 0.05, WOOD)
    canvas.pie(0.5, 0.52, 0.44, 180, 360, colour)
    canvas.polygon([(0.36, 0.52), (0.64, 0.52), (0.5, 0.1)], shade(colour, 1.5))
    for x in (0.14, 0.38, 0.62, 0.86):
        canvas.circle(x, 0.53, 0.035, shade(colour, 0.6))


@concept("chair", "object", "brown", ("wooden chair", "seat"))
def chair(canvas: Canvas, colour: RGB, rng: np.random.Generator) -> None:
    for x in (0.26, 0.74):
        canvas.rectangle(x - 0.05, 0.06, x + 0.05, 0.6, shade(colour, 0.7))
        canvas.rectangle(x - 0.05, 0.6, x + 0.05, 0.96, shade(colour, 0.7))
    for y in (0.1, 0.28):
        canvas.rectangle(0.28, y, 0.72, y + 0.11, colour)
    canvas.polygon([(0.22, 0.52), (0.78, 0.52), (0.88, 0.68), (0.12, 0.68)], colour)


@concept("lamp", "object", "yellow", ("table lamp", "desk light"))
def lamp(canvas: Canvas, colour: RGB, rng: np.random.Generator) -> None:
    canvas.rectangle(0.46, 0.44, 0.54, 0.86, INK)
    canvas.rectangle(0.28, 0.84, 0.72, 0.94, INK, radius=0.04)
    canvas.polygon([(0.34, 0.08), (0.66, 0.08), (0.86, 0.5), (0.14, 0.5)], colour)
    canvas.rectangle(0.15, 0.46, 0.85, 0.52, shade(colour, 0.65))


@concept("apple", "food", "red", ("ripe apple", "fruit"), article="an")
def apple(canvas: Canvas, colour: RGB, rng: np.random.Generator) -> None:
    canvas.ellipse(0.37, 0.58, 0.24, 0.3, colour)
    canvas.ellipse(0.63, 0.58, 0.24, 0.3, colour)
    canvas.line([(0.5, 0.34), (0.54, 0.12)], 0.05, WOOD)
    canvas.polygon([(0.54, 0.2), (0.66, 0.08), (0.84, 0.1), (0.72, 0.24)], (70, 160, 60))
    canvas.ellipse(0.28, 0.48, 0.06, 0.09, shade(colour, 1.6))


@concept("flower", "plant", "pink", ("blossom", "bloom"))
def flower(canvas: Canvas, colour: RGB, rng: np.random.Generator) -> None:
    canvas.line([(0.5, 0.4), (0.5, 0.96)], 0.055, (66, 146, 60))
    canvas.polygon([(0.5, 0.84), (0.62, 0.66), (0.82, 0.64), (0.7, 0.8)], (66, 146, 60))
    for k in range(6):
        angle = math.pi * k / 3
        canvas.circle(0.5 + 0.2 * math.cos(angle), 0.33 + 0.2 * math.sin(angle), 0.125, colour)
    canvas.circle(0.5, 0.33, 0.12, (255, 206, 60) if colour != (250, 210, 44) else (150, 90, 40))


@concept("tree", "plant", None, ("oak tree", "leafy tree"))
def tree(canvas: Canvas, colour: RGB, rng: np.random.Generator) -> None:
    leaves = (52, 138, 62)
    canvas.rectangle(0.43, 0.55, 0.57, 0.96, WOOD)
    for x, y, r in ((0.3, 0.46, 0.2), (0.7, 0.46, 0.2), (0.5, 0.28, 0.23), (0.5, 0.5, 0.2)):
        canvas.circle(x, y, r, leaves)
    for x, y in ((0.36, 0.36), (0.6, 0.26), (0.66, 0.48)):
        canvas.circle(x, y, 0.07, shade(leaves, 1.25))


@concept("balloon", "object", "red", ("party balloon", "helium balloon"))
def balloon(canvas: Canvas, colour: RGB, rng: np.random.Generator) -> None:
    canvas.line([(0.5, 0.64), (0.54, 0.78), (0.47, 0.96)], 0.025, INK)
    canvas.polygon([(0.5, 0.6), (0.43, 0.71), (0.57, 0.71)], shade(colour, 0.7))
    canvas.ellipse(0.5, 0.34, 0.27, 0.31, colour)
    canvas.ellipse(0.4, 0.23, 0.06, 0.09, shade(colour, 1.65))


@concept("key", "object", "yellow", ("door key", "metal key"))
def key(canvas: Canvas, colour: RGB, rng: np.random.Generator) -> None:
    canvas.line([(0.3, 0.5), (0.92, 0.5)], 0.1, colour)
    canvas.rectangle(0.72, 0.5, 0.8, 0.7, colour)
    canvas.rectangle(0.86, 0.5, 0.94, 0.74, colour)
    canvas.ring(0.27, 0.5, 0.22, 0.11, colour)


@concept("gas pump", "object", "red", ("petrol pump", "fuel pump"))
def gas_pump(canvas: Canvas, colour: RGB, rng: np.random.Generator) -> None:
    canvas.line([(0.62, 0.4), (0.8, 0.46), (0.8, 0.74), (0.9, 0.74), (0.9, 0.32)], 0.045, INK)
    canvas.rectangle(0.16, 0.08, 0.64, 0.9, colour, radius=0.06)
    canvas.rectangle(0.24, 0.18, 0.56, 0.42, (200, 230, 240))
    canvas.line([(0.3, 0.3), (0.5, 0.3)], 0.05, INK)
    canvas.rectangle(0.24, 0.54, 0.56, 0.62, shade(colour, 1.75))
    canvas.rectangle(0.1, 0.88, 0.7, 0.96, (90, 94, 104))
    canvas.rectangle(0.84, 0.2, 0.97, 0.34, INK, radius=0.03)


@concept("cassette player", "object", "black", ("tape recorder", "boombox"))
def cassette_player(canvas: Canvas, colour: RGB, rng: np.random.Generator) -> None:
    canvas.arc(0.5, 0.32, 0.3, 0.2, 180, 360, 0.055, (120, 124, 134))
    canvas.rectangle(0.03, 0.28, 0.97, 0.82, colour, radius=0.06)
    for x in (0.21, 0.79):
        canvas.circle(x, 0.57, 0.15, (176, 180, 190))
        canvas.circle(x, 0.57, 0.08, INK)
    canvas.rectangle(0.39, 0.44, 0.61, 0.64, (246, 232, 190))
    for x in (0.45, 0.55):
        canvas.circle(x, 0.54, 0.035, INK)
    canvas.rectangle(0.36, 0.7, 0.64, 0.76, (222, 60, 56))


@concept("church", "building", None, ("cathedral", "parish church"))
def church(canvas: Canvas, colour: RGB, rng: np.random.Generator) -> None:
    wall, roof = (238, 228, 206), (84, 84, 112)
    canvas.rectangle(0.42, 0.55, 0.94, 0.94, wall)
    canvas.polygon([(0.36, 0.57), (0.5, 0.38), (0.88, 0.38), (0.98, 0.57)], roof)
    canvas.rectangle(0.12, 0.4, 0.44, 0.94, wall)
    canvas.polygon([(0.07, 0.42), (0.28, 0.16), (0.49, 0.42)], roof)
    canvas.line([(0.28, 0.02), (0.28, 0.2)], 0.04, INK)
    canvas.line([(0.21, 0.08), (0.35, 0.08)], 0.04, INK)
    canvas.rectangle(0.2, 0.7, 0.36, 0.94, WOOD, radius=0.07)
    canvas.circle(0.28, 0.54, 0.06, (70, 120, 200))
    for x in (0.58, 0.78):
        canvas.rectangle(x - 0.05, 0.64, x + 0.05, 0.84, (70, 120, 200), radius=0.05)


@concept("house", "building", "yellow", ("cottage", "family home"))
def house(canvas: Canvas, colour: RGB, rng: np.random.Generator) -> None:
    canvas.rectangle(0.68, 0.1, 0.8, 0.36, (120, 70, 60))
    canvas.rectangle(0.14, 0.46, 0.86, 0.94, colour)
    canvas.polygon([(0.04, 0.48), (0.5, 0.1), (0.96, 0.48)], (176, 62, 48))
    canvas.rectangle(0.42, 0.64, 0.58, 0.94, WOOD)
    for x in (0.27, 0.73):
        canvas.rectangle(x - 0.08, 0.58, x + 0.08, 0.74, (186, 226, 248))
        canvas.line([(x, 0.59), (x, 0.73)], 0.02, INK)
