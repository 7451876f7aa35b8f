"""Painting styles: each turns a flat render and the mask of its object into a painter's version of it.

Every style takes float RGB of shape (64, 64, 3) in [0, 1] and a mask of shape (64, 64) in [0, 1],
and keeps the object's silhouette readable: the judge must tell both the thing and the style.
"""

from collections.abc import Callable

import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates, sobel

Array = np.ndarray
Style = Callable[[Array, Array, np.random.Generator], Array]


def _luminance(rgb: Array) -> Array:
    return rgb @ np.array([0.299, 0.587, 0.114])


def _edges(rgb: Array) -> Array:
    grey = _luminance(rgb)
    return np.clip(np.hypot(sobel(grey, 0), sobel(grey, 1)), 0, 1)


def _palette(values: Array, stops: list[tuple[float, float, float]]) -> Array:
    position = np.linspace(0, 1, len(stops))
    return np.stack([np.interp(values, position, [stop[c] for stop in stops]) for c in range(3)], -1)


def _grid() -> tuple[Array, Array]:
    y, x = np.mgrid[0:64, 0:64] / 64
    return x, y


def van_gogh(rgb: Array, mask: Array, rng: np.random.Generator) -> Array:
    """A swirling night sky of blue and gold behind a warmly tinted, wavering object."""
    x, y = _grid()
    cx, cy = rng.uniform(0.15, 0.85), rng.uniform(0.05, 0.3)
    radius = np.hypot(x - cx, y - cy)
    swirl = 0.5 + 0.5 * np.sin(34 * radius + 2 * np.arctan2(y - cy, x - cx))
    sky = _palette(swirl, [(0.08, 0.14, 0.42), (0.2, 0.4, 0.74), (0.52, 0.7, 0.84)])
    sky = np.where((radius < 0.11)[..., None], (0.98, 0.84, 0.28), sky)
    waver = [64 * y + 0.9 * np.sin(26 * x), 64 * x + 0.9 * np.sin(26 * y)]
    warp = lambda plane: map_coordinates(plane, waver, order=1, mode="nearest")  # noqa: E731
    thing = np.stack([warp(rgb[..., c]) for c in range(3)], -1)
    thing = 0.72 * thing + 0.28 * _palette(_luminance(thing), [(0.16, 0.1, 0.2), (0.85, 0.6, 0.12), (1.0, 0.92, 0.5)])
    cover = warp(mask)[..., None]
    return thing * cover + sky * (1 - cover)


def picasso(rgb: Array, mask: Array, rng: np.random.Generator) -> Array:
    """Three straight cuts into facets of ochre, blue and rose light, with black seams."""
    x, y = _grid()
    tints = np.array([(0.98, 0.72, 0.3), (0.42, 0.6, 0.92), (0.94, 0.52, 0.56), (0.62, 0.76, 0.42)])
    facet = np.zeros((64, 64), int)
    seam = np.zeros((64, 64), bool)
    for k, angle in enumerate((0.5, 2.1)):
        a = angle + rng.uniform(-0.25, 0.25)
        distance = (x - 0.5 + rng.uniform(-0.12, 0.12)) * np.cos(a) + (y - 0.5 + rng.uniform(-0.12, 0.12)) * np.sin(a)
        facet += (distance > 0) * (k + 1)
        seam |= np.abs(distance) < 0.014
    ground = tints[facet]
    thing = 0.8 * rgb + 0.2 * tints[(facet + 2) % 4]
    cover = mask[..., None]
    out = thing * cover + ground * (1 - cover)
    return np.where(seam[..., None], 0.08, out)


def warhol(rgb: Array, mask: Array, rng: np.random.Generator) -> Array:
    """Screen print: a flat screaming ground, a posterised and oversaturated object."""
    grounds = [(1.0, 0.2, 0.6), (0.1, 0.85, 0.9), (1.0, 0.9, 0.05), (0.55, 0.95, 0.2)]
    left, right = (grounds[i] for i in rng.permutation(4)[:2])
    x, _ = _grid()
    ground = np.where((x < 0.5)[..., None], left, right)
    grey = _luminance(rgb)[..., None]
    thing = np.clip(grey + 2.2 * (rgb - grey), 0, 1)
    thing = np.round(thing * 3) / 3
    cover = mask[..., None]
    return thing * cover + ground * (1 - cover)


def sketch(rgb: Array, mask: Array, rng: np.random.Generator) -> Array:
    """Pencil on paper: dark contours, light grey shading, no colour."""
    lines = np.clip(1.5 * _edges(rgb) * (0.35 + 0.65 * gaussian_filter(mask, 1)), 0, 1)
    shading = 1 - 0.42 * (1 - _luminance(rgb)) * mask
    return np.repeat(np.clip(0.97 * shading - 0.85 * lines, 0, 1)[..., None], 3, -1)


def watercolor(rgb: Array, mask: Array, rng: np.random.Generator) -> Array:
    """Thinned pigment that pools at the object's edge and fades into white paper."""
    x, y = _grid()
    soft = gaussian_filter(rgb, (0.7, 0.7, 0))
    wash = 1 - 0.62 * (1 - soft)
    pool = np.clip(gaussian_filter(mask, 1) * (1 - gaussian_filter(mask, 2)) * 2, 0, 1)[..., None]
    wash *= 1 - 0.3 * pool
    a, b = rng.uniform(0, 6, 2)
    reach = (
        0.34 + 0.07 * np.sin(5 * np.arctan2(y - 0.5, x - 0.5) + a) + 0.04 * np.sin(3 * np.arctan2(y - 0.5, x - 0.5) + b)
    )
    paper = np.clip((np.hypot(x - 0.5, y - 0.5) - reach) / 0.12, 0, 1)[..., None]
    paper = paper * (1 - mask[..., None])
    return wash * (1 - paper) + 0.99 * paper


def neon(rgb: Array, mask: Array, rng: np.random.Generator) -> Array:
    """Glowing tubes along the contours, on black."""
    hues = [(0.1, 0.95, 1.0), (1.0, 0.2, 0.85), (0.4, 1.0, 0.3), (1.0, 0.75, 0.1)]
    tube = np.array(hues[rng.integers(4)])
    line = np.clip(1.7 * _edges(rgb * mask[..., None]), 0, 1)
    glow = np.clip(line + 0.9 * gaussian_filter(line, 1.6), 0, 1)[..., None]
    inside = 0.32 * rgb * mask[..., None] + 0.04
    return np.clip(inside * (1 - glow) + tube * glow, 0, 1)


STYLES: dict[str, Style] = {
    "van gogh": van_gogh,
    "picasso": picasso,
    "warhol": warhol,
    "sketch": sketch,
    "watercolor": watercolor,
    "neon": neon,
}
