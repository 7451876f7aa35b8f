"""How well images match their captions."""

import numpy as np

from erasebench import ImageScores, ImageSet, ScoringContext, metric
from erasebench.scoring import NotApplicable


@metric(label="CLIP score", better="higher", prompts="coco", digits=4, with_reference=True)
def clip_score(images: ImageSet, context: ScoringContext) -> ImageScores:
    """Cosine of the image's and the caption's embedding (arXiv 2104.08718), as a fraction in [-1, 1].

    By open_clip, named in the note: ViT-B/32 (OpenAI), or on the embedded model its judge. Never rescaled.
    """
    if not images.jobs:
        raise NotApplicable("these images have no captions")
    vision = context.clip()
    features = images.features(vision)
    features = features / np.linalg.norm(features, axis=1, keepdims=True)
    texts = list(dict.fromkeys(job.text for job in images.jobs))
    embedded = dict(zip(texts, vision.text_features(texts), strict=True))
    values = [float(feature @ embedded[job.text]) for feature, job in zip(features, images.jobs, strict=True)]
    return ImageScores(values, vision.name, vision.qualifier)
