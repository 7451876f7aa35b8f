"""A drawing surface in unit coordinates, supersampled, on which every pictogram is drawn."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

SIZE = 64
SUPERSAMPLING = 3
OUTLINE = (44, 38, 52)

RGB = tuple[int, int, int]
Points = Sequence[tuple[float, float]]


def shade(colour: RGB, factor: float) -> RGB:
    """Darken (factor < 1) or lighten towards white (factor > 1) an RGB colour in 0..255."""
    if factor <= 1:
        return tuple(int(channel * factor) for channel in colour)  # type: ignore[return-value]
    return tuple(int(channel + (255 - channel) * (factor - 1)) for channel in colour)  # type: ignore[return-value]


class Canvas:
    """A transparent RGBA layer; (0, 0) is the top left of the object's box, (1, 1) its bottom right.

    Args:
        left, top: the box's corner, as fractions of the image.
        scale: the box's side, as a fraction of the image.
    """

    def __init__(self, left: float = 0.0, top: float = 0.0, scale: float = 1.0) -> None:
        side = SIZE * SUPERSAMPLING
        self.image = Image.new("RGBA", (side, side), (0, 0, 0, 0))
        self._draw = ImageDraw.Draw(self.image)
        self._left, self._top, self._scale = left * side, top * side, scale * side

    def _xy(self, points: Points) -> list[tuple[float, float]]:
        return [(self._left + x * self._scale, self._top + y * self._scale) for x, y in points]

    def _width(self, width: float) -> int:
        return max(1, round(width * self._scale))

    def polygon(self, points: Points, fill: RGB) -> None:
        self._draw.polygon(self._xy(points), fill=fill)

    def rectangle(self, x0: float, y0: float, x1: float, y1: float, fill: RGB, radius: float = 0.0) -> None:
        corners = self._xy([(x0, y0), (x1, y1)])
        self._draw.rounded_rectangle([*corners[0], *corners[1]], radius=radius * self._scale, fill=fill)

    def ellipse(self, x: float, y: float, rx: float, ry: float, fill: RGB) -> None:
        corners = self._xy([(x - rx, y - ry), (x + rx, y + ry)])
        self._draw.ellipse([*corners[0], *corners[1]], fill=fill)

    def circle(self, x: float, y: float, radius: float, fill: RGB) -> None:
        self.ellipse(x, y, radius, radius, fill)

    def ring(self, x: float, y: float, radius: float, width: float, fill: RGB) -> None:
        corners = self._xy([(x - radius, y - radius), (x + radius, y + radius)])
        self._draw.ellipse([*corners[0], *corners[1]], outline=fill, width=self._width(width))

    def pie(self, x: float, y: float, radius: float, start: float, end: float, fill: RGB) -> None:
        corners = self._xy([(x - radius, y - radius), (x + radius, y + radius)])
        self._draw.pieslice([*corners[0], *corners[1]], start, end, fill=fill)

    def arc(self, x: float, y: float, rx: float, ry: float, start: float, end: float, width: float, fill: RGB) -> None:
        corners = self._xy([(x - rx, y - ry), (x + rx, y + ry)])
        self._draw.arc([*corners[0], *corners[1]], start, end, fill=fill, width=self._width(width))

    def line(self, points: Points, width: float, fill: RGB) -> None:
        """A polyline with round ends and joints."""
        pixels, thickness = self._xy(points), self._width(width)
        self._draw.line(pixels, fill=fill, width=thickness, joint="curve")
        for x, y in (pixels[0], pixels[-1]):
            r = thickness / 2
            self._draw.ellipse([x - r, y - r, x + r, y + r], fill=fill)

    def paste(self, picture: Image.Image) -> None:
        """An RGBA picture that fills the object's box."""
        side = round(self._scale)
        scaled = picture.resize((side, side), Image.Resampling.BICUBIC)
        self.image.alpha_composite(scaled, (round(self._left), round(self._top)))

    def outlined(self) -> Image.Image:
        """The layer with a dark rim around all that was drawn: it keeps objects apart from any background."""
        alpha = self.image.getchannel("A")
        rim = Image.new("RGBA", self.image.size, (*OUTLINE, 255))
        rim.putalpha(alpha.filter(ImageFilter.MaxFilter(2 * (SUPERSAMPLING - 1) + 1)))
        return Image.alpha_composite(rim, self.image)


def downsample(image: Image.Image) -> np.ndarray:
    """A supersampled image as uint8 of shape (64, 64, channels), averaged over each pixel's area."""
    return np.asarray(image.reduce(SUPERSAMPLING))
