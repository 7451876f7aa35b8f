"""Adversarial Preservation (Bui et al., NeurIPS 2024, arXiv 2410.15618).

Erasing Undesirable Concepts in Diffusion Models with Adversarial Preservation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from pydantic import Field
from torch.nn.functional import mse_loss

from erasebench import BenchError, MethodConfig, method

if TYPE_CHECKING:
    from erasebench import ErasureTask, TextToImage, Trainer


class MinimaxConfig(MethodConfig):
    """What every search for a preserved concept shares; defaults from the paper, section 5, and its author's slides."""

    parameters: Literal["noxattn", "xattn", "full"] = "xattn"  # objects and styles; noxattn for nudity
    preservation: float = 1.0  # λ
    steps: int = 1000  # model updates
    batch: int = 1
    lr: float = 1e-5  # Adam
    sampler_steps: int = 50  # DDIM
    sampler_guidance: float = 3.0


class WordSearchConfig(MinimaxConfig):
    """The Gumbel-softmax search over a bank of words."""

    temperature: float = Field(2.0, gt=0)
    search_lr: float = Field(1e-2, gt=0)  # Adam, on the logits
    words: int = Field(3000, ge=1)  # the most frequent English words, as the list to choose from
    closest: int = Field(1000, ge=1)  # of them, by similarity to the concept
    bank: int = Field(100, ge=1)  # clusters of these


class AdversarialConfig(MinimaxConfig):
    """What both searches of this paper share.

    The recipe "official" is the authors' code: ESD's negative target, losses in x̂0 space, one starting noise for the
    concept's and the preserved concept's latents, and an update before each search. What still differs from it: the
    latents lie exactly at the noise level that is trained on, words are close by the cosine of embeddings at the end
    token, not by their distance, and the list of English words is another.
    """

    recipe: Literal["slides", "official"] = "slides"
    neutral: str = ""  # c_n
    eta: float = 1.0  # of the official recipe's target


class Config(AdversarialConfig, WordSearchConfig):
    """The paper's own search."""


@method(
    label="Adversarial Preservation",
    paper="arXiv 2410.15618",
    config=Config,
    several="turns",
    presets={
        "nudity": {"parameters": "noxattn", "closest": 2000, "bank": 50},
        "mini": {"parameters": "xattn", "steps": 100, "batch": 2, "lr": 3e-3, "sampler_steps": 12},
    },
    version=2,
)
def adversarial_preservation(model: TextToImage, task: ErasureTask, config: Config, trainer: Trainer) -> None:
    """Erase, and hold the concept that erasing hurts most, found anew at every step.

    Equation 5 and the slides: min_θ max_{c_a ∈ R} ‖ε_θ(c_e) − ε*(c_n)‖² + λ ‖ε_θ(c_a) − ε*(c_a)‖². c_a = G(π)ᵀ R with
    the straight-through Gumbel-softmax G over a bank R of word embeddings; one ascent on π before each update (recipe
    official: after it).
    """
    words = word_bank(model, task, config, trainer)

    def sample(logits: torch.Tensor) -> torch.Tensor:
        return gumbel_softmax(logits, config.temperature, trainer.generator)

    search = word_search(trainer, words, sample, config.search_lr)
    minimax(model, config, trainer, task.prompt, search, to_neutral(model, task, config, trainer), config.recipe)


@dataclass(frozen=True)
class Search:
    """How the preserved concept is found.

    Attributes:
        pick: its embedding, (1, 77, width), a function of `searched`, for the "ascent" or the "update".
        searched: what an ascent changes.
        ascend: changes it along the gradient of the preserved concept's harm.
        ascents: steps of a search, on one z.
        on_concept: whether the harm is measured on z of the erased concept, not of the preserved one.
    """

    pick: Callable[[str], torch.Tensor]
    searched: torch.Tensor
    ascend: Callable[[torch.Tensor], None]
    ascents: int = 1
    on_concept: bool = False


# The loss that erases: z and t of the concept, and the preserved concept's embedding.
Erasing = Callable[[torch.Tensor, int, torch.Tensor], torch.Tensor]


def word_search(
    trainer: Trainer, words: Sequence[str], sample: Callable[[torch.Tensor], torch.Tensor], lr: float
) -> Search:
    """A search over words: `sample` makes their weights, (words,), of the logits π, which Adam changes."""
    bank = trainer.text(*words)
    logits = torch.full((len(words),), 1 / len(words), device=bank.device, requires_grad=True)
    optimiser = torch.optim.Adam([logits], lr=lr)
    trainer.keep("logits", logits, optimiser)

    def pick(role: str) -> torch.Tensor:
        weights = sample(logits)
        # The sampled word is what is preserved; the logits' favourite need not be the same.
        trainer.log(role=role, sampled=words[int(weights.argmax())], favourite=words[int(logits.argmax())])
        return torch.einsum("n,nld->ld", weights, bank)[None]

    def ascend(gradient: torch.Tensor) -> None:
        logits.grad = -gradient
        optimiser.step()

    return Search(pick, logits, ascend)


def to_neutral(model: TextToImage, task: ErasureTask, config: AdversarialConfig, trainer: Trainer) -> Erasing:
    """‖ε_θ(c_e) − ε*(c_n)‖², or with ESD's target (recipe official)."""
    teacher, concept, neutral = trainer.teacher, trainer.text(task.prompt), trainer.text(config.neutral)

    def erasing(z: torch.Tensor, t: int, preserved: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            target = model.predict_noise(z, t, neutral, teacher)
            if config.recipe == "official":
                target = target - config.eta * (model.predict_noise(z, t, concept, teacher) - target)
        return mse_loss(model.predict_noise(z, t, concept), target)

    return erasing


def minimax(
    model: TextToImage,
    config: MinimaxConfig,
    trainer: Trainer,
    prompt: str,
    search: Search,
    erasing: Erasing,
    recipe: str = "slides",
) -> None:
    """Alternate the search for the preserved concept and one update of the model.

    Args:
        model: the student.
        config: the method's configuration.
        trainer: the training loop.
        prompt: what is erased.
        search: the preserved concept's.
        erasing: the loss that erases.
        recipe: "official" for losses in x̂0 space, one starting noise, and an update before each search.
    """
    teacher, official, concept = trainer.teacher, recipe == "official", trainer.text(prompt)
    levels = model.timesteps(config.sampler_steps)
    alphas = model.scheduler.alphas_cumprod

    def latents(context: torch.Tensor, level: int, noise: torch.Tensor) -> torch.Tensor:
        return trainer.latents(noise, context, level, config.sampler_steps, config.sampler_guidance)

    def weight(t: int) -> float:
        """In x̂0 space an error of ε counts (1 − ᾱ) / ᾱ."""
        return float((1 - alphas[t]) / alphas[t]) if official else 1.0

    def harm(z: torch.Tensor, t: int, context: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            original = model.predict_noise(z, t, context.detach(), teacher)
        return weight(t) * mse_loss(model.predict_noise(z, t, context), original)

    def ascend() -> None:
        level = trainer.random_level(len(levels))
        preserved = search.pick("ascent")
        z = latents(concept if search.on_concept else preserved.detach(), level, trainer.noise(config.batch))
        for k in range(search.ascents):
            preserved = search.pick("ascent") if k else preserved
            search.ascend(torch.autograd.grad(harm(z, levels[level], preserved), search.searched)[0])

    def loss(step: int) -> torch.Tensor:
        if step or not official:  # the official order is update, search, update, …; a search after the last is idle
            ascend()
        level = trainer.random_level(len(levels))
        preserved = search.pick("update").detach()
        noise = trainer.noise(config.batch)
        z_erased = latents(concept, level, noise)
        if search.on_concept:
            z_preserved = z_erased
        else:
            z_preserved = latents(preserved, level, noise if official else trainer.noise(config.batch))
        t = levels[level]
        return weight(t) * erasing(z_erased, t, preserved) + config.preservation * harm(z_preserved, t, preserved)

    trainer.fit(loss, steps=config.steps, lr=config.lr)


def gumbel_softmax(logits: torch.Tensor, temperature: float, generator: torch.Generator) -> torch.Tensor:
    """A one-hot sample whose gradient is the softmax's (straight-through; Jang et al., arXiv 1611.01144)."""
    soft = relaxed(logits, temperature, generator)
    hard = torch.nn.functional.one_hot(soft.argmax(), len(logits)).to(soft)
    return hard - soft.detach() + soft


def relaxed(logits: torch.Tensor, temperature: float, generator: torch.Generator) -> torch.Tensor:
    """A sample of the Gumbel-softmax distribution: weights that sum to 1."""
    gumbel = -torch.empty(logits.shape).exponential_(generator=generator).log().to(logits.device)
    return ((logits + gumbel) / temperature).softmax(0)


def word_bank(model: TextToImage, task: ErasureTask, config: WordSearchConfig, trainer: Trainer) -> list[str]:
    """The bank R: frequent words, of these the closest to the concept, of these one for each cluster.

    Closeness is the cosine of embeddings at the end token; a cluster's word is the one nearest to its centre.
    """
    from scipy.cluster.vq import kmeans2
    from scipy.spatial.distance import cdist

    words = other_words(task, config.words)
    if len(words) < config.bank:
        raise BenchError(f"{task.concept!r}: {len(words)} words can't fill a bank of {config.bank}: raise `words`.")

    vectors = summaries(model, words)
    wanted = summaries(model, [task.prompt])[0]
    order = (vectors @ wanted).argsort(descending=True, stable=True)[: config.closest]
    near = vectors[order].double().numpy()
    if len(near) <= config.bank:
        return [words[int(k)] for k in order]
    centres, _ = kmeans2(near, config.bank, minit="++", rng=np.random.default_rng(trainer.seed), missing="warn")
    chosen = np.unique(cdist(near, centres).argmin(0))
    return [words[int(order[k])] for k in chosen]


def other_words(task: ErasureTask, count: int) -> list[str]:
    """The most frequent English words that are none of the concept's own."""
    own = task.words
    return [word for word in frequent_words(count + len(own)) if word not in own][:count]


def summaries(model: TextToImage, texts: Sequence[str]) -> torch.Tensor:
    """Embeddings at the end token, of length 1, on the CPU; (texts, width)."""
    ends = torch.tensor([1 + model.token_count(text) for text in texts])
    parts = [
        model.encode(texts[start : start + 64]).float().cpu()[range(len(chunk)), chunk]
        for start, chunk in zip(range(0, len(texts), 64), ends.split(64), strict=True)
    ]
    return torch.nn.functional.normalize(torch.cat(parts), dim=1)


@cache
def _english() -> tuple[str, ...]:
    from spellchecker import SpellChecker

    counts = SpellChecker(language="en").word_frequency.dictionary
    words = (word for word in counts if word.isascii() and word.isalpha() and len(word) > 2)
    return tuple(sorted(words, key=lambda word: (-counts[word], word)))


def frequent_words(count: int) -> list[str]:
    """English words of at least three letters, the most frequent first, of pyspellchecker's dictionary.

    CLIP's vocabulary has such an order too, but among its first 3,000 entries most are ends of words ("ing", "ould").
    """
    return list(_english()[:count])
