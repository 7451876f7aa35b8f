"""UCE: Unified Concept Editing in Diffusion Models (Gandikota et al., WACV 2024, arXiv 2308.14761)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from erasebench import MethodConfig, method

if TYPE_CHECKING:
    import torch

    from erasebench import ErasureTask, TextToImage, Trainer


class Config(MethodConfig):
    """Defaults: equation 7 and the authors' code."""

    parameters: Literal["xattn-kv"] = "xattn-kv"  # section 4
    preserve: tuple[str, ...] = Field(("",), strict=False)  # texts whose keys and values stay
    erase_scale: float = 1.0  # authors' code
    preserve_scale: float | None = None  # None: max(0.1, 1 / number preserved), authors' code
    regularisation: float = 0.5  # λ, authors' code


@method(label="UCE", paper="arXiv 2308.14761", config=Config, presets={"mini": {"regularisation": 0.1}})
def uce(model: TextToImage, task: ErasureTask, config: Config, trainer: Trainer) -> None:
    """Rewrite keys and values in closed form, so that the concept's tokens give the guide's.

    Equation 7, for every W in attn2.to_k and attn2.to_v:
    W' = (λW + s_e Σ v* cᵀ + s_p Σ (W c_p) c_pᵀ) (λI + s_e Σ c cᵀ + s_p Σ c_p c_pᵀ)⁻¹ with v* = W c_guide.
    """
    import torch

    concept, guide = (_tokens_from_last_subject(model, text) for text in (task.prompt, task.guide))
    length = min(len(concept), len(guide))
    concept, guide = concept[:length], guide[:length]
    preserved = torch.cat(list(model.encode(config.preserve))) if config.preserve else concept[:0]
    preserve_scale = config.preserve_scale
    if preserve_scale is None:
        preserve_scale = max(0.1, 1 / max(1, len(config.preserve)))
    identity = config.regularisation * torch.eye(concept.shape[1], device=concept.device)
    right = identity + config.erase_scale * concept.T @ concept + preserve_scale * preserved.T @ preserved
    with torch.no_grad():
        for name, weight in trainer.parameters.items():
            if not name.endswith("weight"):
                continue
            left = (
                config.regularisation * weight
                + config.erase_scale * (weight @ guide.T) @ concept
                + preserve_scale * (weight @ preserved.T) @ preserved
            )
            weight.copy_(torch.linalg.solve(right, left, left=False))


def _tokens_from_last_subject(model: TextToImage, text: str) -> torch.Tensor:
    """Embeddings from the text's last token through the padding, of shape (positions, width)."""
    words = len(model.tokenizer(text, truncation=True).input_ids) - 2  # without start and end
    return model.encode([text])[0, max(1, words) :]
