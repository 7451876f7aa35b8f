"""Whether what is drawn for an erased concept collapses into one picture."""

from __future__ import annotations

import numpy as np

from erasebench import JACKKNIFE_GROUPS, Distributions, ImageSet, NotApplicable, ScoringContext, SetScore, metric


@metric(label="Diversity", better="higher", prompts="concept", looks=("distance",))
def diversity(images: ImageSet, context: ScoringContext) -> SetScore:
    """How much what is drawn for the concept's prompts differs from prompt to prompt, where the original's is 1.

    Mean of 1 − cosine of the features over all pairs of images of different prompts, over the same of the original's
    images; 0: every prompt gives one picture, over 1: more than the original has. Prompts that name several erased
    concepts show whether these become one. Ours. Features as for FID. The mean
    over trainings; the interval is over them and 20 random groups of prompts (a jackknife), for this original.
    """
    if context.row == "original" or context.original is None:
        raise NotApplicable("the original would be compared with itself")
    sides = context.distributions(images, context.original)
    order = {prompt: k for k, prompt in enumerate(dict.fromkeys(job.prompt_id for job in context.original.jobs))}
    prompts = np.array([order[job.prompt_id] for job in context.original.jobs])
    features = context.original.features(context.distance())
    known = np.isfinite(features).all(1)

    def of_original() -> float:
        return spread(features[known].astype(np.float64), prompts[known])

    whole = sides.of_real("spread", of_original)
    if not whole > 0:
        raise NotApplicable("the original's images of different prompts are all the same")

    def measure(part: Distributions) -> tuple[float, list[float]]:
        def without(g: int) -> float:
            kept = part.groups != g
            return spread(part.drawn[kept], part.prompts[kept]) / whole

        groups = () if part.groups is None else range(JACKKNIFE_GROUPS)
        return spread(part.drawn, part.prompts) / whole, [without(g) for g in groups]

    return sides.score(measure, f"; the original's mean distance is {whole:.3f}")


def spread(features: np.ndarray, prompts: np.ndarray) -> float:
    """Mean of 1 − cosine over pairs of different prompts, in [0, 2], from sums alone.

    Args:
        features: (images, width).
        prompts: each image's prompt, from 0.

    Raises:
        NotApplicable: all images are of one prompt.
    """
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    sums = np.zeros((prompts.max() + 1, unit.shape[1]))
    np.add.at(sums, prompts, unit)
    counts = np.bincount(prompts)
    pairs = len(unit) ** 2 - (counts**2).sum()
    if pairs == 0:
        raise NotApplicable("all images are of one prompt")
    cosines = sums.sum(0) @ sums.sum(0) - (sums**2).sum()
    return max(0.0, float(1 - cosines / pairs))
