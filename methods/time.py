"""TIME: Editing Implicit Assumptions in Text-to-Image Diffusion Models (Orgad et al., ICCV 2023, arXiv 2303.08084)."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Literal

import torch

from erasebench import MethodConfig, method

if TYPE_CHECKING:
    from erasebench import ErasureTask, TextToImage, Trainer

TEMPLATES = ("{x}", "A photo of {x}", "An image of {x}", "A picture of {x}")  # section 4


class Config(MethodConfig):
    """Defaults are the paper's, section 4."""

    parameters: Literal["xattn-kv"] = "xattn-kv"
    regularisation: float = 0.1  # λ


@method(
    label="TIME",
    paper="arXiv 2303.08084",
    config=Config,
    needs_replacement=True,
    deterministic=True,
    several="sum",
    presets={"mini": {"regularisation": 52.0}},
    version=2,
)
def time(model: TextToImage, task: ErasureTask, config: Config, trainer: Trainer) -> None:
    """Rewrite keys and values in closed form, so that all tokens of the source prompt give the destination's.

    Equation 5, for every W in attn2.to_k and attn2.to_v: W' = (λW + Σ v* cᵀ) (λI + Σ c cᵀ)⁻¹ with v* = W c*, over all
    77 positions of the prompt, bare and in three sentences. The authors let the destination contain the source ("a
    dog", "a green dog") and pair equal tokens; for two texts with little in common, what lies between equal tokens is
    paired from its end. Solved in float64.
    """
    pairs = [
        _paired(model, trainer, template.format(x=one.prompt), template.format(x=one.replacement))
        for one in task.each
        for template in TEMPLATES
    ]
    source, destination = (torch.cat(parts).double() for parts in zip(*pairs, strict=True))
    identity = torch.eye(source.shape[1], dtype=source.dtype, device=source.device)
    right = config.regularisation * identity + source.T @ source
    with torch.no_grad():
        for weight in trainer.parameters.values():
            w = weight.double()
            left = config.regularisation * w + (w @ destination.T) @ source
            weight.copy_(torch.linalg.solve(right, left, left=False))


def _paired(model: TextToImage, trainer: Trainer, source: str, destination: str) -> tuple[torch.Tensor, torch.Tensor]:
    """All positions of the source's embedding, and for each the destination's; two of shape (positions, width)."""
    embeddings = trainer.text(source, destination)[:, : model.positions]
    first, second = (["", *model.tokens(text)] for text in (source, destination))
    positions = counterparts(first, second, embeddings.shape[1])
    return embeddings[0], embeddings[1][positions]


def counterparts(source: Sequence[str], destination: Sequence[str], length: int) -> list[int]:
    """For each of `length` positions of a source prompt, the position of the destination prompt that it turns into.

    Equal tokens, and "a" and "an", are paired with each other. Between them, tokens are paired from the last one on;
    those of the source that are left over get the first of the destination's, or, where it has none, what follows
    there. After both texts, end and padding are paired in order; the last position stands for all that would follow.

    Args:
        source: tokens, start token first, without end and padding.
        destination: likewise.
        length: of both prompts with end and padding.

    >>> counterparts("^a photo of nudity".split(), "^a photo of a person".split(), 7)
    [0, 1, 2, 4, 5, 6, 6]
    >>> counterparts(["^", "a", "dog"], ["^", "a", "green", "dog"], 6)
    [0, 1, 3, 4, 5, 5]
    >>> counterparts(["^", "red", "garbage", "truck"], ["^", "vehicle"], 6)
    [0, 1, 1, 1, 2, 3]
    """
    found: list[int] = []
    before = 0  # the destination's first position that is not yet used
    plain = [["a</w>" if token == "an</w>" else token for token in text] for text in (source, destination)]
    for begin, partner, size in SequenceMatcher(None, plain[0], plain[1], autojunk=False).get_matching_blocks():
        last = max(partner - 1, before)
        found += [max(last - k, before) for k in reversed(range(begin - len(found)))]
        found += range(partner, partner + size)
        before = partner + size
    found += range(before, before + length - len(found))
    return [min(position, length - 1) for position in found[:length]]
