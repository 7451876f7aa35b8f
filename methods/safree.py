"""SAFREE: Training-Free and Adaptive Guard (Yoon et al., arXiv 2410.12761), as its authors' code draws."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from pydantic import Field
from torch.nn.functional import cosine_similarity

from erasebench import ErasureTask, GuideConfig, method

if TYPE_CHECKING:
    from erasebench import GuidedBatch

LAST = 10  # of 50 steps: the last at which a filtered prompt can still be drawn with


class Config(GuideConfig):
    """Of the authors' code; their midpoint and slope for artists differ."""

    texts: tuple[str, ...] | None = Field(None, strict=False)  # None: the concept; the authors': 17 phrases on nudity
    alpha: float = 0.01  # how much farther than the others' mean a token's removal must lead
    filter: bool = True  # whether only steps up to one that depends on the prompt take the projected embedding
    slope: float = 2.5
    midpoint: float = 5.333


@dataclass(frozen=True)
class Projected:
    """A prompt's embedding away from a concept.

    Attributes:
        context: (rows, width).
        triggers: which of the prompt's tokens were replaced, bool of shape (tokens,).
        moved: 1 − the mean cosine of its rows from start to end token and of what each would be replaced with; in
            [0, 2].
    """

    context: torch.Tensor
    triggers: torch.Tensor
    moved: float


def projection(vectors: torch.Tensor) -> torch.Tensor:
    """V (VᵀV)⁺ Vᵀ, onto the span of vectors (count, width): (width, width)."""
    return vectors.T @ torch.linalg.pinv(vectors.T)


def project(context: torch.Tensor, masked: torch.Tensor, concept: torch.Tensor, alpha: float) -> Projected:
    """Replace the tokens of a prompt that lead to a concept by what is left of them outside its span.

    Args:
        context: the prompt's embedding, (rows, width), its tokens in rows 1, 2, …
        masked: the prompt as a whole without each token, (tokens, width).
        concept: texts as wholes, (texts, width).
        alpha: as in the configuration.
    """
    count = len(masked)
    if not count:
        return Projected(context, torch.zeros(0, dtype=torch.bool), 0.0)
    outside = torch.eye(concept.shape[1], dtype=concept.dtype) - projection(concept)
    distance = (masked @ outside).norm(dim=1)
    others = (distance.sum() - distance) / max(count - 1, 1)  # 0 for a single token, which so is a trigger
    triggers = distance >= (1 + alpha) * others
    framed = context[: count + 2]  # the authors' mean goes over the start and the end token too
    replaced = framed @ projection(masked) @ outside
    found = context.clone()
    found[1 : count + 1] = torch.where(triggers[:, None], replaced[1:-1], framed[1:-1])
    return Projected(found, triggers, 1 - float(cosine_similarity(replaced, framed).mean()))


def last_step(moved: float, slope: float, midpoint: float) -> int:
    """The last step of 50, from 0, that takes the projected embedding: round(10 σ(2 k (10 b − m))).

    >>> last_step(0.1, 2.5, 5.333), last_step(0.9, 2.5, 5.333)
    (0, 10)
    """
    return round(LAST / (1 + math.exp(-2 * slope * (10 * moved - midpoint))))


@dataclass(frozen=True)
class Filter:
    """The rule."""

    texts: tuple[str, ...]
    config: Config
    forwards: int = 2

    def predictor(self, batch: GuidedBatch) -> Any:
        config = self.config
        concept = batch.wholes(torch.stack([batch.ids(text)[0] for text in self.texts]))
        found = []
        for prompt, context in zip(batch.prompts, batch.context, strict=True):
            ids, count = batch.ids(prompt)
            masked = ids.repeat(count, 1)
            masked[torch.arange(count), torch.arange(count) + 1] = 0
            wholes = batch.wholes(masked) if count else masked
            found.append(project(context.double().cpu(), wholes, concept, config.alpha))
        safe = torch.stack([one.context for one in found]).to(batch.context)
        steps = [last_step(one.moved, config.slope, config.midpoint) if config.filter else 50 for one in found]

        def predict(z: torch.Tensor, t: float, step: int) -> torch.Tensor:
            projected = [step * 50 <= last * batch.steps for last in steps]
            chosen = torch.tensor(projected, device=safe.device)[:, None, None]
            empty, wanted = batch.predict(z, t, batch.empty, torch.where(chosen, safe, batch.context))
            return empty + batch.scale * (wanted - empty)

        return predict


def one_encoder(config: Config) -> str:
    """Why models with one text encoder alone are taken."""
    return "it reads texts as wholes, whose span no single one of them holds. Leave safree out of --methods."


@method(label="SAFREE", paper="arXiv 2410.12761", config=Config, guides=True, version=2, one_encoder=one_encoder)
def safree(task: ErasureTask, config: Config) -> Filter:
    """Draw with a prompt whose telling tokens are projected out of a concept's span (equations 1 to 6).

    P_C is onto the span of the concept's texts as wholes, P_I of the prompt's with token i masked, z_i. A token is a
    trigger where ‖(I − P_C) z_i‖ ≥ (1 + α) the others' mean, and its embedding becomes (I − P_C) P_I e_i. With the
    filter, steps after the 10 σ(2 k (10 b − m))th of 50 take the prompt as it is; b is how far all rows from the start
    to the end token would move. Start, end and padding stay, and carry what the prompt said before them.

    The paper's latent re-attention, a filter of the UNet's skipped features against a third prediction, is left out:
    the authors' script turns it on without saying which frequencies, and their code then filters none (their issue 13).
    """
    return Filter(config.texts or (task.prompt,), config)
