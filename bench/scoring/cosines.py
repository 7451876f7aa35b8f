"""How near images are to texts in a CLIP model's space."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..images.image_set import Encoder, ImageSet
from .scores import ImageScores


def text_cosines(images: ImageSet, encoder: Encoder, texts: Sequence[str]) -> ImageScores:
    """The cosine of each image's embedding with that of its text, in [-1, 1]; cut texts are counted in the note.

    Args:
        images: what to look at.
        encoder: a CLIP model, or the judge.
        texts: one an image.
    """
    features = images.features(encoder)
    features = features / np.linalg.norm(features, axis=1, keepdims=True)
    distinct = list(dict.fromkeys(texts))
    embedded = dict(zip(distinct, encoder.text_features(distinct), strict=True))
    cosines = [float(feature @ embedded[text]) for feature, text in zip(features, texts, strict=True)]
    values = [cosine if np.isfinite(cosine) else None for cosine in cosines]
    reasons, cut = iter(images.unreadable(features)), encoder.truncated(distinct)
    note = f"{encoder.name}{f', {cut} captions truncated' if cut else ''}"
    return ImageScores(values, note, encoder.qualifier, [next(reasons) if value is None else None for value in values])
