"""How often a model still draws the erased concept."""

from erasebench import ImageScores, ImageSet, ScoringContext, metric
from erasebench.scoring import NotApplicable

THRESHOLD = 0.5


@metric(label="Concept rate", better="lower", prompts="concept")
def concept_rate(images: ImageSet, context: ScoringContext) -> ImageScores:
    """The share of images, drawn for prompts that ask for the concept, in which the judge finds it.

    Per image 1 or 0: the judge's probability of the concept is at least 0.5. Styles are read from its style
    head, where the style must be the most probable. In [0, 1]; the probabilities are kept beside the values.
    """
    judge = context.judge
    if judge is None:
        raise NotApplicable("there is no concept detector for this model yet: the judge knows the embedded world")
    features = images.features(judge)
    if context.concept in judge.concepts:
        probabilities = judge.concept_probabilities(features)[:, judge.concepts.index(context.concept)]
        found = probabilities >= THRESHOLD
    else:
        all_styles = judge.style_probabilities(features)
        index = judge.styles.index(context.concept)
        probabilities, found = all_styles[:, index], all_styles.argmax(1) == index
    return ImageScores(
        [float(value) for value in found],
        note=f"{judge.name} {judge.revision}, probability ≥ {THRESHOLD}",
        details=[round(float(p), 4) for p in probabilities],
    )
