"""δ: how much an erased model changes other concepts, in noise, in images, and in what a judge sees in them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from skimage.metrics import structural_similarity

from ..images.jobs import image_seed
from ..models.text_to_image import TextToImage

if TYPE_CHECKING:
    from ..runs.plan import Generation

SPACES = ("noise", "image", "judge")
TEMPLATE = "a photo of {}"
WINDOW = 25  # of SSIM, as the metric's
THRESHOLD = 0.5  # of the judge's probabilities


@dataclass(frozen=True)
class Drawn:
    """Images of concepts by one model, all from noise that every model shares.

    Attributes:
        pixels: uint8, (concepts, images, height, width, 3).
        finite: whether an image's values are, bool (concepts, images).
        seen: whether a judge sees the concept, (concepts, images) of 1, 0 or NaN where none can tell.
    """

    pixels: np.ndarray
    finite: np.ndarray
    seen: np.ndarray


def draw_concepts(
    model: TextToImage,
    judge: Any,
    names: Sequence[str],
    phrases: Sequence[str],
    images: int,
    seed: int,
    drawing: Generation,
    done: Callable[[int], None] = lambda count: None,
) -> Drawn:
    """Draw so many images of each concept.

    Args:
        model: with the weights that draw.
        judge: knows concepts by name (`concept_probabilities`), or not at all.
        names: as the judge knows them.
        phrases: as they stand in a prompt.
        images: of each.
        seed: of the noise; a concept's k-th image has the same for every model.
        drawing: sampler, steps, guidance and how many at once.
        done: told how many images more are there.
    """
    texts = [TEMPLATE.format(phrase) for phrase in phrases for _ in range(images)]
    seeds = [image_seed(seed, text, k % images) for k, text in enumerate(texts)]
    empty, pixels, finite = model.encode([""]), [], []
    for begin in range(0, len(texts), drawing.batch_size):
        part = slice(begin, begin + drawing.batch_size)
        clean = model.denoise(
            model.noise(seeds[part]),
            model.encode(texts[part]),
            empty,
            steps=drawing.steps,
            guidance=drawing.guidance,
            solver=drawing.scheduler,
        )
        drawn, fine = model.decode_checked(clean)
        pixels.append(drawn)
        finite.append(fine)
        done(len(drawn))
    every, known = np.concatenate(pixels), np.concatenate(finite)
    seen = np.where(known, _seen(judge, every, [name for name in names for _ in range(images)]), np.nan)
    shape = (len(names), images)
    return Drawn(every.reshape(*shape, *every.shape[1:]), known.reshape(shape), seen.reshape(shape))


def _seen(judge: Any, pixels: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """1 or 0 for each image: whether the judge sees its concept; NaN where it does not know it."""
    known = list(getattr(judge, "concepts", ()))
    if not set(names) & set(known):
        return np.full(len(names), np.nan)
    probabilities = judge.concept_probabilities(judge.image_features(list(pixels)))
    found = [
        float(own[known.index(n)] >= THRESHOLD) if n in known else np.nan
        for own, n in zip(probabilities, names, strict=True)
    ]
    return np.array(found)


def image_change(mine: Drawn, original: Drawn) -> np.ndarray:
    """1 − SSIM to the original's image of the same prompt and noise, (concepts, images); NaN where one isn't finite."""
    size = mine.pixels.shape[2:]
    pairs = zip(mine.pixels.reshape(-1, *size), original.pixels.reshape(-1, *size), strict=True)
    changes = [1 - structural_similarity(a, b, win_size=WINDOW, channel_axis=-1, data_range=255) for a, b in pairs]
    return np.where(mine.finite & original.finite, np.reshape(changes, mine.finite.shape), np.nan)


def judged_change(mine: Drawn, original: Drawn) -> np.ndarray:
    """How much rarer the judge sees each concept, in [-1, 1]; (concepts, images) of 1, 0, -1 or NaN."""
    found: np.ndarray = original.seen - mine.seen
    return found
