"""Several targets, of which the nearest counts (slides of arXiv 2410.15618's author, 2024, equation 6)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from pydantic import Field
from torch.nn.functional import mse_loss

from erasebench import BenchError, method

from .adversarial_preservation import (
    WordSearchConfig,
    adversarial_preservation,
    gumbel_softmax,
    minimax,
    other_words,
    summaries,
    word_bank,
    word_search,
)

if TYPE_CHECKING:
    from erasebench import ErasureTask, TextToImage, Trainer


class Config(WordSearchConfig):
    """The slides give the objective alone: steps, rates and the search are Adversarial Preservation's, B is ours."""

    targets: int = Field(10, ge=1)  # the size of B
    ceiling: float = Field(0.5, ge=0, le=1)  # of likeness: 0 is the median word's, 1 the concept's own
    softness: float = Field(0.0, ge=0)  # of the minimum, in the mean of the losses; 0: the least alone


@method(
    label="Several targets",
    paper="arXiv 2410.15618",
    config=Config,
    several="turns",
    presets=adversarial_preservation.presets,
)
def multi_target(model: TextToImage, task: ErasureTask, config: Config, trainer: Trainer) -> None:
    """Turn the concept into whichever of several words it is nearest to, and hold what that hurts most.

    Slides, equation 6: min_θ max_{c_a ∈ R} min_{c_n ∈ B(c_e)} ‖ε_θ(c_e) − ε*(c_n)‖² + λ ‖ε_θ(c_a) − ε*(c_a)‖². c_a is
    searched as by Adversarial Preservation. The inner minimum is taken anew at every update, on its z, so it picks what
    the student already draws: a synonym of the concept would let all stay as it is. B is therefore the frequent words
    that are most like the concept among those not above a ceiling. Likeness is the cosine of embeddings at the end
    token, scaled so that the median word has 0 and the concept 1: cosines alone can't be compared between concepts.

    The soft minimum, −τ log (1/n Σ exp(−L_n / τ)), has each target's gradient by the softmax of −L / τ; τ is `softness`
    times the mean of the L_n.
    """
    teacher, concept = trainer.teacher, trainer.text(task.prompt)
    names = targets(model, task, config)
    contexts = trainer.text(*names)

    def sample(logits: torch.Tensor) -> torch.Tensor:
        return gumbel_softmax(logits, config.temperature, trainer.generator)

    def erasing(z: torch.Tensor, t: int, preserved: torch.Tensor) -> torch.Tensor:
        predicted = model.predict_noise(z, t, concept)
        with torch.no_grad():
            wanted = [model.predict_noise(z, t, context[None], teacher) for context in contexts]
        losses = torch.stack([mse_loss(predicted, one) for one in wanted])
        trainer.log(role="target", sampled=names[int(losses.argmin())])
        return minimum(losses, config.softness)

    search = word_search(trainer, word_bank(model, task, config, trainer), sample, config.search_lr)
    minimax(model, config, trainer, task.prompt, search, erasing)


def minimum(losses: torch.Tensor, softness: float) -> torch.Tensor:
    """The least of the losses, or a soft minimum; of shape ()."""
    if softness == 0:
        return losses.min()
    scale = softness * losses.detach().mean()
    return -scale * (torch.logsumexp(-losses / scale, 0) - torch.tensor(float(len(losses))).log())


def likeness(cosines: torch.Tensor) -> torch.Tensor:
    """0 for the median, 1 for a cosine of 1."""
    median = cosines.median()
    return (cosines - median) / (1 - median)


def targets(model: TextToImage, task: ErasureTask, config: Config) -> list[str]:
    """B(c_e): the words most like the concept that are not more alike than the ceiling.

    Raises:
        BenchError: too few are below it.
    """
    words = other_words(task, config.words)
    alike = likeness(summaries(model, words) @ summaries(model, [task.prompt])[0])
    below = [int(k) for k in alike.argsort(descending=True, stable=True) if alike[k] <= config.ceiling]
    if len(below) < config.targets:
        raise BenchError(
            f"Several targets: of {len(words)} words {len(below)} are below the ceiling of {config.ceiling:g} for "
            f"{task.concept!r}, and {config.targets} are asked for: raise `ceiling` or `words`, or lower `targets`."
        )
    return [words[k] for k in below[: config.targets]]
