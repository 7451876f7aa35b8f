"""How often a model still draws the erased concept."""

import numpy as np

from erasebench import ImageScores, ImageSet, NotApplicable, ScoringContext, metric

THRESHOLD = 0.5
SYNONYM = 0.9  # cosine of two texts from which on they are taken to mean the same


@metric(label="Concept rate", better="lower", prompts="concept", version=3)
def concept_rate(images: ImageSet, context: ScoringContext) -> ImageScores:
    """The share of images, drawn for prompts that ask for the concept, in which it is found.

    Per image 1 or 0. On the embedded model, for what its judge knows: the judge's probability is at least 0.5; styles
    are read from its style head, where the style must be the most probable. For any other text, and on any other
    model: zero-shot, the concept's text must be the nearest of the concepts' texts to the image, by CLIP, or by the
    judge, which leaves out what means the same to it. In [0, 1]; probabilities or margins are kept beside the values.
    """
    judge, concept = context.judge, context.concept
    if judge is None or concept.name not in (*judge.concepts, *judge.styles):
        return _zero_shot(images, context)
    features = images.features(judge)
    if concept.name in judge.concepts:
        probabilities = judge.concept_probabilities(features)[:, judge.concepts.index(concept.name)]
        found = probabilities >= THRESHOLD
    else:
        all_styles = judge.style_probabilities(features)
        index = judge.styles.index(concept.name)
        probabilities, found = all_styles[:, index], all_styles.argmax(1) == index
    return _scores(images, features, found, probabilities, f"{judge.name} {judge.revision}, probability ≥ {THRESHOLD}")


def _zero_shot(images: ImageSet, context: ScoringContext) -> ImageScores:
    vision = context.judge or context.clip()
    features = images.features(vision)
    features = features / np.linalg.norm(features, axis=1, keepdims=True)
    wanted = vision.text_features([context.concept.zero_shot_text])[0]
    texts = context.concept.alternatives
    others = vision.text_features(texts)
    if context.judge is not None and not context.concept.built_in:  # CLIP's texts are all near each other
        others = others[others @ wanted < SYNONYM]
    if len(others) == 0:
        raise NotApplicable("all other concepts mean the same as this one: there is nothing to tell it from")
    margins = features @ wanted - (features @ others.T).max(1)
    note = f"{vision.name}, zero-shot among {len(others) + 1} texts"
    return _scores(images, features, margins > 0, margins, note)


def _scores(images: ImageSet, features: np.ndarray, found: np.ndarray, details: np.ndarray, note: str) -> ImageScores:
    """1 or 0 an image with its probability or margin; None with the reason for an image without features."""
    reasons = iter(images.unreadable(features))
    scored = np.isfinite(features).all(1)
    return ImageScores(
        [float(yes) if known else None for yes, known in zip(found, scored, strict=True)],
        note=note,
        details=[round(float(p), 4) if known else next(reasons) for p, known in zip(details, scored, strict=True)],
    )
