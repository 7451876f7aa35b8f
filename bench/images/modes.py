"""An opened image as 8-bit RGB the way it is meant to be seen, or the reason why that is not known."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageOps

SIXTEEN_BIT = 65535
WITH_ALPHA = ("RGBA", "RGBa", "LA", "La", "PA")
DIRECT = ("RGB", "L", "1", "P", "CMYK", "YCbCr", "HSV")  # what Pillow converts without clipping


def as_rgb(image: Image.Image) -> np.ndarray:
    """Pixels as uint8 RGB of shape (height, width, 3), turned upright by their EXIF orientation.

    16-bit greys are scaled, where Pillow alone would clip them at 255; alpha that is opaque everywhere is dropped.

    Raises:
        ValueError: there are several frames, transparent pixels, or numbers without a known range.
    """
    if getattr(image, "is_animated", False) and image.format != "MPO":  # a camera's JPEG with previews behind it
        raise ValueError(f"animated, {getattr(image, 'n_frames', 2)} frames: save the one that is meant")
    ImageOps.exif_transpose(image, in_place=True)
    if image.mode.startswith("I"):
        grey = np.asarray(image).astype(np.int64)
        if not 0 <= grey.min() <= grey.max() <= SIXTEEN_BIT:
            raise ValueError(f"greys from {grey.min()} to {grey.max()}: save it with 8 or 16 bits")
        return np.repeat(np.round(grey / 257).astype(np.uint8)[..., None], 3, axis=2)
    if image.mode in WITH_ALPHA or "transparency" in image.info:
        image = image.convert("RGBA")
        if np.asarray(image)[..., 3].min() < 255:
            raise ValueError("transparent pixels: save it on the background that is meant")
    elif image.mode not in DIRECT:
        raise ValueError(f"the mode {image.mode} has no known range: save it as 8-bit RGB")
    return np.asarray(image.convert("RGB"))
