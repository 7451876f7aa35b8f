"""AGE, Adaptive Guided Erasure (Bui et al., ICLR 2025, arXiv 2501.18950).

Fantastic Targets for Concept Erasure in Diffusion Models and Where to Find Them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from pydantic import Field
from torch.nn.functional import mse_loss

from erasebench import method

from .adversarial_preservation import WordSearchConfig, gumbel_softmax, minimax, relaxed, word_bank, word_search
from .esd import target

if TYPE_CHECKING:
    from erasebench import ErasureTask, TextToImage, Trainer


class Config(WordSearchConfig):
    """Defaults are those of the authors' code, presets by kind those of their scripts.

    What differs from them: the latents lie exactly at the noise level that is trained on; words are close by the cosine
    of embeddings at the end token, not by their distance; for objects theirs are labels of ImageNet and for styles a
    list of artists and styles, here English words for all.
    """

    eta: float = 1.0  # "negative guidance"
    hard: bool = False  # one word, straight-through; otherwise a mixture of `top`
    top: int = Field(5, ge=1)


@method(
    label="AGE",
    paper="arXiv 2501.18950",
    config=Config,
    several="turns",
    presets={
        "nudity": {"parameters": "noxattn", "hard": True, "closest": 100},
        "object": {"hard": True, "closest": 100, "temperature": 0.1},
        "mini": {"parameters": "xattn", "steps": 50, "batch": 2, "lr": 3e-3, "sampler_steps": 12},
    },
)
def age(model: TextToImage, task: ErasureTask, config: Config, trainer: Trainer) -> None:
    """Turn the concept into the words near it that its erasure hurts most, and hold these words too.

    The equation, read off the authors' code: min_θ ‖ε_θ(z_e, c_e) − [ε*(z_e, c_t) − η (ε*(z_e, c_e) − ε*(z_e, c_t))]‖²
    + λ ‖ε_θ(z_t, c_t) − ε*(z_t, c_t)‖², c_t = G(π)ᵀ R, on latents that the student draws for c_e and for c_t from one
    noise, with both errors in x̂0 space, where each is (1 − ᾱ) / ᾱ times that of ε. R are embeddings of words, G the
    Gumbel-softmax: one word (`hard`, straight-through) or the `top` largest weights.

    After every update but the last, π takes one step up. Both terms stand in that step's loss, but of the first no
    gradient reaches π, as its target is computed without one: what is found is the word whose preservation fails most,
    and no search is made for the best target.
    """
    teacher, concept = trainer.teacher, trainer.text(task.prompt)

    def sample(logits: torch.Tensor) -> torch.Tensor:
        if config.hard:
            return gumbel_softmax(logits, config.temperature, trainer.generator)
        return largest(relaxed(logits, config.temperature, trainer.generator), config.top)

    def erasing(z: torch.Tensor, t: int, found: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            wanted, unwanted = (model.predict_noise(z, t, context, teacher) for context in (found, concept))
        return mse_loss(model.predict_noise(z, t, concept), target(unwanted, wanted, config.eta))

    search = word_search(trainer, word_bank(model, task, config, trainer), sample, config.search_lr)
    minimax(model, config, trainer, task.prompt, search, erasing, "official")


def largest(weights: torch.Tensor, count: int) -> torch.Tensor:
    """The largest of some weights, scaled so that they sum to 1, and 0 for the others; of shape (words,)."""
    least = weights.detach().topk(min(count, len(weights))).values[-1]
    kept = weights * (weights.detach() >= least)
    return kept / kept.sum()
