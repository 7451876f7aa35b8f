"""How much erasing changed what is predicted for other words: the sensitivity spectrum's mean."""

import numpy as np

from erasebench import NotApplicable, ScoringContext, SetScore, metric
from erasebench.stats import bootstrap_interval


@metric(label="Sensitivity", better="lower", prompts=None, digits=5, is_cost=False)
def spectrum(images: None, context: ScoringContext) -> SetScore:
    """The mean over words of ‖ε_θ′(c, z_t) − ε_θ(c, z_t)‖² per element, on latents of the original model.

    The plan's `spectrum` says over how many of the CLIP vocabulary's whole words and how many draws; the interval is a
    bootstrap over words. At least 0. Of the first run seed's weights. `bench spectrum` shows every word.
    """
    if context.spectrum is None:
        raise NotApplicable("nothing was erased")
    differences = context.spectrum()
    interval = bootstrap_interval(list(differences.mean(1)), [str(k) for k in range(len(differences))])
    if interval is None:
        raise NotApplicable("there are no words")
    value, low, high, n = interval
    note = f"{n} words, {differences.shape[1]} draws, {np.mean(differences > 0):.0%} of the predictions changed"
    return SetScore(value, n, low, high, note)
