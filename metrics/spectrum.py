"""How much erasing changed what is predicted for other words: the sensitivity spectrum's mean."""

import numpy as np
from scipy.stats import t as student

from erasebench import NotApplicable, ScoringContext, SetScore, error_of_mean, metric


def mean_interval(differences: np.ndarray) -> tuple[float, float, float, float, float]:
    """The mean of (words, levels, draws) with a 95 % interval over words and draws.

    Its squared standard error is the words' (of their means) plus the draws' (of theirs, within levels); degrees of
    freedom are Satterthwaite's. For one word the interval is over draws alone.

    >>> [round(x, 2) for x in mean_interval(np.array([[[1.0, 3.0]], [[2.0, 4.0]]]))]  # 2.5 ± 6.188 · √1.25
    [2.5, -4.42, 9.42, 1.12, 1.47]
    """
    words, levels, draws = differences.shape
    of_words = float(differences.mean((1, 2)).var(ddof=1)) / words if words > 1 else 0.0
    of_draws = float(error_of_mean(differences.mean(0)))
    squares = of_words**2 / max(words - 1, 1) + of_draws**2 / (levels * (draws - 1))
    mean, variance = float(differences.mean()), of_words + of_draws
    error, freedom = variance**0.5, variance**2 / squares if squares > 0 else 1.0
    margin = float(student.ppf(0.975, freedom)) * error
    return mean, mean - margin, mean + margin, error, freedom


@metric(label="Sensitivity", better="lower", prompts=None, digits=5, is_cost=False, version=2)
def spectrum(images: None, context: ScoringContext) -> SetScore:
    """The mean over words of ‖ε_θ′(c, z_t) − ε_θ(c, z_t)‖² per element, on latents of the original model.

    Over a random sample of the CLIP vocabulary's whole words, the same for every row; the plan's `spectrum` says how
    many, and how many noise levels and latents at each. The interval covers which words and which latents were drawn.
    At least 0. Of the first training's weights: another training is not covered. `bench spectrum` shows every word.
    """
    if context.spectrum is None:
        raise NotApplicable("nothing was erased")
    differences = context.spectrum()
    words, levels, draws = differences.shape
    value, low, high, error, freedom = mean_interval(differences)
    note = (
        f"{words} random words, {draws} latents at each of {levels} noise levels, interval over words and latents, "
        f"{np.mean(differences > 0):.0%} of the predictions changed"
    )
    covers = f"{words} words and {levels * draws} latents, the first training only"
    return SetScore(value, words, max(low, 0.0), high, note, covers=covers, error=error, freedom=freedom)
