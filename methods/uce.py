"""UCE: Unified Concept Editing in Diffusion Models (Gandikota et al., WACV 2024, arXiv 2308.14761)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
from pydantic import Field

from erasebench import MethodConfig, method

if TYPE_CHECKING:
    from erasebench import ErasureTask, TextToImage, Trainer

# Authors' code: a concept is edited bare and in these prompts.
OBJECT = ("{x}", "image of {x}", "photo of {x}", "portrait of {x}", "picture of {x}", "painting of {x}")
STYLE = ("{x}", "painting by {x}", "art by {x}", "artwork by {x}", "picture by {x}", "style of {x}")


class Config(MethodConfig):
    """Defaults: equation 7 and the authors' code."""

    parameters: Literal["xattn-kv"] = "xattn-kv"  # section 4
    preserve: tuple[str, ...] = Field(("",), strict=False)  # texts whose keys and values stay
    templates: tuple[str, ...] = Field(("{x}",), strict=False)  # the prompts that are edited
    erase_scale: float = 1.0  # authors' code
    preserve_scale: float | None = None  # None: max(0.1, 1 / number preserved), authors' code
    regularisation: float = 0.5  # λ, authors' code


@method(
    label="UCE",
    paper="arXiv 2308.14761",
    config=Config,
    needs_replacement=True,
    deterministic=True,
    presets={
        "object": {"templates": OBJECT},
        "nudity": {"templates": OBJECT},
        "style": {"templates": STYLE},
        "mini": {"regularisation": 52.0},
    },
)
def uce(model: TextToImage, task: ErasureTask, config: Config, trainer: Trainer) -> None:
    """Rewrite keys and values in closed form, so that the concept's tokens give the replacement's.

    Equation 7, for every W in attn2.to_k and attn2.to_v:
    W' = (λW + s_e Σ v* cᵀ + s_p Σ (W c_p) c_pᵀ) (λI + s_e Σ c cᵀ + s_p Σ c_p c_pᵀ)⁻¹ with v* = W c_guide.
    """
    pairs = [
        aligned(model, trainer, template.format(x=task.prompt), template.format(x=task.replacement))
        for template in config.templates
    ]
    concept, guide = torch.cat([c for c, _ in pairs]), torch.cat([g for _, g in pairs])
    preserved = trainer.text(*config.preserve).flatten(0, 1) if config.preserve else concept[:0]
    preserve_scale = config.preserve_scale
    if preserve_scale is None:
        preserve_scale = max(0.1, 1 / max(1, len(config.preserve)))
    identity = config.regularisation * torch.eye(concept.shape[1], device=concept.device)
    right = identity + config.erase_scale * concept.T @ concept + preserve_scale * preserved.T @ preserved
    with torch.no_grad():
        for weight in trainer.parameters.values():
            left = (
                config.regularisation * weight
                + config.erase_scale * (weight @ guide.T) @ concept
                + preserve_scale * (weight @ preserved.T) @ preserved
            )
            weight.copy_(torch.linalg.solve(right, left, left=False))


def aligned(model: TextToImage, trainer: Trainer, concept: str, guide: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Embeddings of two prompts from their last tokens through the padding, equally many; (positions, width)."""
    first, second = (trainer.text(text)[0, model.token_count(text) :] for text in (concept, guide))
    length = min(len(first), len(second))
    return first[:length], second[:length]
