"""Vehicles on the ground, in the water and in the air."""

import numpy as np

from ..canvas import RGB, Canvas, shade
from ..concepts import concept

GLASS: RGB = (172, 220, 246)
TYRE: RGB = (38, 38, 44)
STEEL: RGB = (188, 192, 200)


def _wheel(canvas: Canvas, x: float, y: float, radius: float) -> None:
    canvas.circle(x, y, radius, TYRE)
    canvas.circle(x, y, radius * 0.45, STEEL)


@concept("garbage truck", "vehicle", "green", ("trash truck", "refuse lorry", "dustcart"))
def garbage_truck(canvas: Canvas, colour: RGB, rng: np.random.Generator) -> None:
    canvas.rectangle(0.04, 0.66, 0.97, 0.74, (70, 72, 80))
    canvas.polygon([(0.03, 0.36), (0.12, 0.24), (0.64, 0.24), (0.64, 0.68), (0.03, 0.68)], colour)
    canvas.polygon([(0.03, 0.36), (0.12, 0.24), (0.2, 0.24), (0.2, 0.68), (0.03, 0.68)], shade(colour, 0.62))
    for x in (0.34, 0.48):
        canvas.line([(x, 0.3), (x, 0.62)], 0.035, shade(colour, 0.7))
    canvas.rectangle(0.67, 0.36, 0.96, 0.7, (244, 244, 240), radius=0.04)
    canvas.rectangle(0.78, 0.41, 0.93, 0.54, GLASS)
    canvas.circle(0.93, 0.63, 0.025, (250, 210, 60))
    for x in (0.17, 0.38, 0.8):
        _wheel(canvas, x, 0.75, 0.095)


@concept("bus", "vehicle", "red", ("omnibus", "double decker"))
def bus(canvas: Canvas, colour: RGB, rng: np.random.Generator) -> None:
    canvas.rectangle(0.04, 0.24, 0.96, 0.74, colour, radius=0.07)
    for x in (0.09, 0.25, 0.41, 0.57):
        canvas.rectangle(x, 0.31, x + 0.12, 0.48, GLASS)
    canvas.rectangle(0.75, 0.31, 0.93, 0.66, GLASS, radius=0.02)
    canvas.line([(0.06, 0.58), (0.72, 0.58)], 0.045, shade(colour, 1.7))
    for x in (0.24, 0.72):
        _wheel(canvas, x, 0.75, 0.1)


@concept("car", "vehicle", "blue", ("automobile", "small car"))
def car(canvas: Canvas, colour: RGB, rng: np.random.Generator) -> None:
    canvas.polygon([(0.22, 0.52), (0.32, 0.32), (0.66, 0.32), (0.8, 0.52)], colour)
    canvas.rectangle(0.04, 0.5, 0.96, 0.7, colour, radius=0.07)
    canvas.polygon([(0.29, 0.51), (0.36, 0.37), (0.48, 0.37), (0.48, 0.51)], GLASS)
    canvas.polygon([(0.53, 0.51), (0.53, 0.37), (0.63, 0.37), (0.72, 0.51)], GLASS)
    canvas.circle(0.91, 0.58, 0.035, (255, 240, 150))
    for x in (0.25, 0.75):
        _wheel(canvas, x, 0.7, 0.11)


@concept("lexus", "vehicle", None, ("lexus car", "luxury sedan"))
def lexus(canvas: Canvas, colour: RGB, rng: np.random.Generator) -> None:
    body = (206, 210, 218)
    canvas.polygon([(0.16, 0.52), (0.36, 0.36), (0.62, 0.36), (0.82, 0.52)], (48, 54, 70))
    canvas.polygon([(0.02, 0.54), (0.1, 0.48), (0.86, 0.5), (0.98, 0.58), (0.98, 0.68), (0.02, 0.68)], body)
    canvas.polygon([(0.87, 0.53), (0.98, 0.58), (0.98, 0.68), (0.9, 0.68), (0.93, 0.6)], (36, 36, 42))
    canvas.ring(0.5, 0.6, 0.065, 0.022, (120, 96, 30))
    canvas.line([(0.49, 0.56), (0.48, 0.63), (0.54, 0.62)], 0.022, (120, 96, 30))
    canvas.rectangle(0.03, 0.54, 0.09, 0.59, (220, 40, 46))
    for x in (0.23, 0.77):
        canvas.circle(x, 0.69, 0.1, TYRE)
        canvas.circle(x, 0.69, 0.065, body)
        canvas.circle(x, 0.69, 0.025, TYRE)


@concept("bicycle", "vehicle", "orange", ("bike", "cycle"))
def bicycle(canvas: Canvas, colour: RGB, rng: np.random.Generator) -> None:
    for x in (0.25, 0.75):
        canvas.ring(x, 0.64, 0.2, 0.05, TYRE)
    canvas.line([(0.25, 0.64), (0.4, 0.4), (0.67, 0.4), (0.48, 0.64), (0.25, 0.64)], 0.05, colour)
    canvas.line([(0.48, 0.64), (0.38, 0.34)], 0.05, colour)
    canvas.line([(0.75, 0.64), (0.65, 0.28), (0.76, 0.25)], 0.05, colour)
    canvas.line([(0.3, 0.33), (0.45, 0.33)], 0.06, (60, 40, 36))


@concept("airplane", "vehicle", "white", ("plane", "jet"), article="an")
def airplane(canvas: Canvas, colour: RGB, rng: np.random.Generator) -> None:
    canvas.polygon([(0.05, 0.24), (0.16, 0.24), (0.3, 0.48), (0.1, 0.48)], shade(colour, 0.7))
    canvas.rectangle(0.06, 0.42, 0.94, 0.6, colour, radius=0.09)
    canvas.polygon([(0.4, 0.5), (0.62, 0.5), (0.42, 0.82), (0.3, 0.82)], shade(colour, 0.7))
    canvas.rectangle(0.82, 0.45, 0.9, 0.51, GLASS, radius=0.02)
    for x in (0.34, 0.46, 0.58, 0.7):
        canvas.circle(x, 0.48, 0.026, (70, 130, 200))


@concept("boat", "vehicle", "red", ("sailing boat", "small boat"))
def boat(canvas: Canvas, colour: RGB, rng: np.random.Generator) -> None:
    canvas.line([(0.5, 0.08), (0.5, 0.66)], 0.04, (110, 76, 44))
    canvas.polygon([(0.54, 0.1), (0.54, 0.6), (0.88, 0.6)], (250, 248, 238))
    canvas.polygon([(0.46, 0.18), (0.46, 0.6), (0.18, 0.6)], (226, 232, 240))
    canvas.polygon([(0.06, 0.66), (0.94, 0.66), (0.78, 0.88), (0.22, 0.88)], colour)
    canvas.polygon([(0.06, 0.66), (0.94, 0.66), (0.9, 0.72), (0.1, 0.72)], shade(colour, 1.5))


@concept("train", "vehicle", "black", ("locomotive", "steam engine"))
def train(canvas: Canvas, colour: RGB, rng: np.random.Generator) -> None:
    canvas.rectangle(0.06, 0.22, 0.4, 0.7, shade(colour, 0.75))
    canvas.rectangle(0.02, 0.17, 0.44, 0.25, (200, 50, 46))
    canvas.rectangle(0.13, 0.31, 0.33, 0.48, GLASS)
    canvas.rectangle(0.38, 0.42, 0.92, 0.7, colour, radius=0.05)
    canvas.polygon([(0.68, 0.42), (0.66, 0.2), (0.86, 0.2), (0.82, 0.42)], shade(colour, 0.75))
    canvas.rectangle(0.05, 0.66, 0.96, 0.74, (200, 50, 46))
    for x in (0.2, 0.48, 0.74):
        canvas.circle(x, 0.77, 0.11, TYRE)
        canvas.circle(x, 0.77, 0.06, (214, 170, 60))
