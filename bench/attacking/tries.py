"""Tries: what an attack asks the model for, and drawing it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from ..errors import NotApplicable
from ..images.jobs import Job
from ..models.guidance import GuidedBatch

if TYPE_CHECKING:
    from ..models.guidance import Guide
    from ..models.text_to_image import Predict, TextToImage
    from ..runs.plan import Generation
    from .tokens import Tokens

Asked = str | torch.Tensor  # a prompt, its ids (77,), or an embedding (77, width)


@dataclass(frozen=True)
class Try:
    """One image that an attack asks for.

    Attributes:
        target: the prompt that is attacked.
        terms: weights and what is asked: the noise is ε(∅) + Σ weight · (ε(asked) − ε(∅)).
        seed: of the starting noise.
        start: latents to start from instead of noise, (channels, height, width).
        told: the same for people.
    """

    target: Job
    terms: tuple[tuple[float, Asked], ...]
    seed: int
    start: torch.Tensor | None
    told: str


@torch.no_grad()
def draw(
    model: TextToImage, tokens: Tokens, tries: Sequence[Try], drawing: Generation, guide: Guide | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The images, uint8 of shape (tries, height, width, 3), and which of them are finite, bool of shape (tries,).

    Raises:
        NotApplicable: a guide draws, and several prompts are asked for at once, or it can't read what is asked.
    """
    images: list[np.ndarray | None] = [None] * len(tries)
    finite = np.zeros(len(tries), bool)
    size = None if drawing.size is None else (drawing.size, drawing.size)
    empty = tokens.encode(tokens.ids("")[None])
    for places in _alike(tries, drawing.batch_size):
        batch = [tries[place] for place in places]
        terms = [
            (_column([weight for weight, _ in term], model.device), _embedded(tokens, [asked for _, asked in term]))
            for term in zip(*(one.terms for one in batch), strict=True)
        ]
        noise = model.noise([one.seed for one in batch], size)
        z = torch.stack([n if one.start is None else one.start.to(n) for n, one in zip(noise, batch, strict=True)])
        if guide is None:
            predict = _summed(model, empty, terms)
        else:
            predict = guide.predictor(_guided(model, batch, empty, terms, drawing.steps))
        clean = model.walk(z, predict, drawing.steps, None, drawing.scheduler)
        drawn, finite[places] = model.decode_checked(clean)
        for place, image in zip(places, drawn, strict=True):
            images[place] = image
    return np.stack([image for image in images if image is not None]), finite


def _guided(
    model: TextToImage,
    batch: Sequence[Try],
    empty: torch.Tensor,
    terms: Sequence[tuple[torch.Tensor, torch.Tensor]],
    steps: int,
) -> GuidedBatch:
    """What a guide draws together: the weight of what is asked is the guidance."""
    if len(terms) > 1:
        raise NotApplicable("it adds up several prompts by a sampler of its own, which leaves the row's guide out")
    ((weights, context),) = terms
    return GuidedBatch(model, [one.terms[0][1] for one in batch], context, empty, weights, steps)


def _summed(model: TextToImage, empty: torch.Tensor, terms: Sequence[tuple[torch.Tensor, torch.Tensor]]) -> Predict:
    """The noise estimate of a batch for terms of weights (batch, 1, 1, 1) and embeddings (batch, 77, width)."""
    weights, contexts = zip(*terms, strict=True)

    def predict(z: torch.Tensor, t: float, step: int) -> torch.Tensor:
        if len(terms) == 1 and bool((weights[0] == 1).all()):
            return model.predict_noise(z, t, contexts[0])
        parts = 1 + len(terms)
        every = torch.cat([empty.expand(len(z), -1, -1), *contexts])
        plain, *asked = model.predict_noise(z.repeat(parts, 1, 1, 1), t, every).chunk(parts)
        return plain + sum(w * (one - plain) for w, one in zip(weights, asked, strict=True))

    return predict


def _column(values: Sequence[float], device: str) -> torch.Tensor:
    return torch.tensor(values, device=device).view(-1, 1, 1, 1)


def _embedded(tokens: Tokens, asked: Sequence[Asked]) -> torch.Tensor:
    """Embeddings (batch, 77, width) of what is asked; prompts and ids go through the text encoder together."""
    parts = [tokens.ids(one) if isinstance(one, str) else one for one in asked]
    ids = [place for place, one in enumerate(parts) if one.ndim == 1]
    for place, embedding in zip(ids, tokens.encode(torch.stack([parts[k] for k in ids])) if ids else (), strict=True):
        parts[place] = embedding
    return torch.stack([part.to(parts[0].device) for part in parts])


def _alike(tries: Sequence[Try], most: int) -> Iterator[list[int]]:
    """Places of tries that can be drawn together: of equally many terms, and guided or all without guidance."""
    kinds: dict[tuple[int, bool], list[int]] = {}
    for place, one in enumerate(tries):
        kinds.setdefault((len(one.terms), len(one.terms) == 1 and one.terms[0][0] == 1), []).append(place)
    for places in kinds.values():
        yield from (places[k : k + most] for k in range(0, len(places), most))
