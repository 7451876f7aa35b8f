"""SPM's facilitated transport: trained weights act as far as the prompt asks for the concept (arXiv 2312.16145)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.functional import cosine_similarity

from erasebench import ErasureTask, GuideConfig, method

if TYPE_CHECKING:
    from erasebench import GuidedBatch


class Config(GuideConfig):
    """The authors' code multiplies both factors of each matrix by s, so that it draws with s² of their product."""

    text: str | None = None  # what the weights were trained against; None: the concept
    squared: bool = True  # False: the paper's equation


def likeness(context: torch.Tensor, concept: torch.Tensor, tokens: set[int], own: set[int]) -> float:
    """How far a prompt asks for a concept, in [0, 1]: the authors' "clipcos_tokenuni".

    The larger of the cosine of their whole embeddings and the share of the concept's tokens that the prompt has.

    Args:
        context: the prompt's embedding, (rows, width).
        concept: the concept's, (rows, width).
        tokens: the prompt's.
        own: the concept's.
    """
    cosine = float(cosine_similarity(context.detach().flatten().double(), concept.flatten().double(), dim=0))
    return max(cosine, len(tokens & own) / max(len(own), 1))


@dataclass(frozen=True)
class Transport:
    """The rule."""

    asked: str
    squared: bool
    forwards: int = 2

    def predictor(self, batch: GuidedBatch) -> Any:
        concept, own = batch.encode(self.asked)[0], tokens(batch, self.asked)
        rows = zip(batch.context, batch.prompts, strict=True)
        power = 2 if self.squared else 1
        shares = [likeness(context, concept, tokens(batch, prompt), own) ** power for context, prompt in rows]

        def predict(z: torch.Tensor, t: float, step: int) -> torch.Tensor:
            found: dict[int, torch.Tensor] = {}
            for share in dict.fromkeys(shares):
                alike = [k for k, other in enumerate(shares) if other == share]
                empty, wanted = batch.predict(z[alike], t, batch.empty, batch.context[alike], share=share)
                found |= zip(alike, empty + batch.scale[alike] * (wanted - empty), strict=True)
            return torch.stack([found[k] for k in range(len(z))])

        return predict


def tokens(batch: GuidedBatch, prompt: str | torch.Tensor) -> set[int]:
    """A prompt's token ids without start, end and padding."""
    ids, count = batch.ids(prompt)
    return set(ids[1 : 1 + count].tolist())


@method(label="transport", paper="arXiv 2312.16145", config=Config, guides=True, beside_weights=True)
def transport(task: ErasureTask, config: Config) -> Transport:
    """Draw with W* + s² (W − W*), W of the row beside which it stands, as `spm+transport`: what SPM draws with.

    s is the paper's equation: the larger of cos(c, c_e), over the embeddings of prompt and concept as a whole, and the
    share of the concept's tokens that stand in the prompt. So a prompt that asks for something else is drawn by nearly
    the original's weights. Prompts that differ in s are predicted one after the other. Gradients take s as given.
    """
    return Transport(task.prompt if config.text is None else config.text, config.squared)
