"""TIME: Editing Implicit Assumptions in Text-to-Image Diffusion Models (Orgad et al., ICCV 2023, arXiv 2303.08084)."""

from __future__ import annotations

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
    presets={"mini": {"regularisation": 52.0}},
)
def time(model: TextToImage, task: ErasureTask, config: Config, trainer: Trainer) -> None:
    """Rewrite keys and values in closed form, so that all tokens of the source prompt give the destination's.

    Equation 5, for every W in attn2.to_k and attn2.to_v: W' = (λW + Σ v* cᵀ) (λI + Σ c cᵀ)⁻¹ with v* = W c*, over the
    tokens of the prompt, bare and in three sentences. Tokens of the two prompts are matched from the last word on.
    """
    pairs = [aligned(model, trainer, t.format(x=task.prompt), t.format(x=task.replacement)) for t in TEMPLATES]
    source, destination = torch.cat([s for s, _ in pairs]), torch.cat([d for _, d in pairs])
    right = config.regularisation * torch.eye(source.shape[1], device=source.device) + source.T @ source
    with torch.no_grad():
        for weight in trainer.parameters.values():
            left = config.regularisation * weight + (weight @ destination.T) @ source
            weight.copy_(torch.linalg.solve(right, left, left=False))


def aligned(model: TextToImage, trainer: Trainer, source: str, destination: str) -> tuple[torch.Tensor, torch.Tensor]:
    """All embeddings of two prompts, of shape (positions, width), so that their last words and ends stand together.

    The longer prompt's first surplus tokens, after the start token, are skipped.
    """
    embeddings = [trainer.text(text)[0] for text in (source, destination)]
    surplus = [1 + max(0, model.token_count(a) - model.token_count(b)) for a, b in
               ((source, destination), (destination, source))]  # fmt: skip
    first, second = (torch.cat([e[:1], e[k:]]) for e, k in zip(embeddings, surplus, strict=True))
    length = min(len(first), len(second))
    return first[:length], second[:length]
