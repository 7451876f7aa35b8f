"""UCE: Unified Concept Editing in Diffusion Models (Gandikota et al., WACV 2024, arXiv 2308.14761)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

import torch
from pydantic import Field

from erasebench import BenchError, MethodConfig, method

if TYPE_CHECKING:
    from erasebench import ErasureTask, TextToImage, Trainer

# Authors' code: the prompts that `expand` adds to the bare concept.
OBJECT = ("image of {x}", "photo of {x}", "portrait of {x}", "picture of {x}", "painting of {x}")
STYLE = ("painting by {x}", "art by {x}", "artwork by {x}", "picture by {x}", "style of {x}")
NO_WORDS = " "  # encoded as "" is, also by SDXL, which takes zeros for ""; the authors' code encodes it there too


class Config(MethodConfig):
    """Defaults: equation 7 and the authors' code of the paper; the recipe "2025" is their code since April 2025.

    "original" edits the concept from its last token through the padding and preserves whole prompts, first "". "2025"
    edits and preserves last tokens alone. A preset's own values stand above the recipe's.

    What differs: for styles the authors' first code preserves 1,734 artists, a list that is not part of this project:
    name those that matter in `preserve`.
    """

    recipes: ClassVar = {"2025": {"guide": "", "preserve": (), "preserve_scale": 1.0}}

    recipe: Literal["original", "2025"] = "original"
    parameters: Literal["xattn-kv"] = "xattn-kv"  # section 4
    guide: str | None = " "  # what the concept becomes (2025: "", for a style "art"); None: the concept's replacement
    preserve: tuple[str, ...] = Field(("",), strict=False)  # texts whose keys and values stay (2025: none)
    expand: bool = False  # edit five more prompts with the concept
    erase_scale: float = 1.0  # s_e
    preserve_scale: float | None = None  # s_p; None: max(0.1, 1 / number preserved) (2025: 1)
    regularisation: float = 0.5  # λ


@method(
    label="UCE",
    paper="arXiv 2308.14761",
    config=Config,
    deterministic=True,
    several="sum",
    presets={"mini": {"guide": None, "expand": True, "regularisation": 52.0}},
    version=3,
)
def uce(model: TextToImage, task: ErasureTask, config: Config, trainer: Trainer) -> None:
    """Rewrite keys and values in closed form, so that the concept's tokens give the guide's.

    Equation 7, for every W in attn2.to_k and attn2.to_v:
    W' = (λW + s_e Σ v* cᵀ + s_p Σ (W c_p) c_pᵀ) (λI + s_e Σ c cᵀ + s_p Σ c_p c_pᵀ)⁻¹ with v* = W c_guide, solved in
    float64: on Stable Diffusion the matrix has a condition number of about 7·10⁵.
    """
    pairs = [
        _from_last_tokens(model, trainer, prompts, padding=config.recipe == "original")
        for one in task.each
        for prompts in edits(one, config)
    ]
    concept, guide = (torch.cat(parts) for parts in zip(*pairs, strict=True))
    if config.recipe == "original":
        preserved = [trainer.text(text)[0, : model.positions] for text in config.preserve]
    else:
        preserved = [_from_last_tokens(model, trainer, (text,), padding=False)[0] for text in config.preserve]
    kept = torch.cat([concept[:0], *preserved]).double()
    preserve_scale = config.preserve_scale
    if preserve_scale is None:
        preserve_scale = max(0.1, 1 / max(1, len(config.preserve)))

    solve(trainer, concept, guide, kept, config.regularisation, config.erase_scale, preserve_scale)


def solve(
    trainer: Trainer,
    concept: torch.Tensor,
    guide: torch.Tensor,
    kept: torch.Tensor,
    regularisation: float,
    erase_scale: float,
    preserve_scale: float,
) -> None:
    """Equation 7 for every weight of the training, as it is now.

    Args:
        trainer: whose parameters are changed.
        concept: embeddings c, float64 of (rows, width).
        guide: c_guide for each of them.
        kept: embeddings c_p.
        regularisation: λ.
        erase_scale: s_e.
        preserve_scale: s_p.
    """
    identity = regularisation * torch.eye(concept.shape[1], dtype=concept.dtype, device=concept.device)
    right = identity + erase_scale * concept.T @ concept + preserve_scale * kept.T @ kept
    with torch.no_grad():
        for weight in trainer.parameters.values():
            w = weight.double()
            left = regularisation * w + erase_scale * (w @ guide.T) @ concept + preserve_scale * (w @ kept.T) @ kept
            weight.copy_(torch.linalg.solve(right, left, left=False))


def edits(task: ErasureTask, config: Config) -> list[tuple[str, str]]:
    """Pairs of a prompt with the concept and the guide that it is to become.

    The first code gives every prompt the bare guide; the newer one expands it like the concept.
    """
    guide = guide_of(task, config)
    templates = ("{x}", *((STYLE if task.kind == "style" else OBJECT) if config.expand else ()))
    return [(t.format(x=task.prompt), t.format(x=guide) if config.recipe == "2025" else guide) for t in templates]


def guide_of(task: ErasureTask, config: Config) -> str:
    """The text that the concept becomes.

    Raises:
        BenchError: it is to be the replacement, and there is none.
    """
    if config.guide is None:
        if not task.replacement:
            raise BenchError(f"{task.concept!r} has no replacement to be UCE's guide: give --replacement TEXT.")
        return task.replacement
    return "art" if config.recipe == "2025" and task.kind == "style" and not config.guide else config.guide


def _from_last_tokens(
    model: TextToImage, trainer: Trainer, prompts: Sequence[str], padding: bool
) -> list[torch.Tensor]:
    """Each prompt's embedding from its last token on, equally many positions; float64, of shape (positions, width).

    Without `padding`, the last token alone. Of a text without tokens it is the start token, as in the authors' code.
    """
    ends = [model.token_count(text) for text in prompts]
    embeddings = trainer.text(*(text or NO_WORDS for text in prompts))[:, : model.positions].double()
    count = embeddings.shape[1] - max(ends) if padding else 1
    return [embedding[end : end + count] for embedding, end in zip(embeddings, ends, strict=True)]
