"""What a row may do to sampling in place of weights: a guide combines predictions at every step.

Without one, a step is classifier-free guidance: ε(∅) + s (ε(c) − ε(∅)).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol

import torch

from ..errors import NotApplicable
from .token_vectors import PLACEHOLDER, tokens_replaced

if TYPE_CHECKING:
    from .text_to_image import Predict, TextToImage

REFERENCE_STEPS = 50  # papers give the step that a guide begins at for so many


@dataclass(frozen=True)
class GuidedBatch:
    """Images that are drawn together.

    Attributes:
        model: what draws them.
        prompts: their texts; where an attack asks, also ids (77,) or an embedding (rows, width).
        context: the texts' embeddings, (batch, rows, width).
        empty: the empty text's, (1, rows, width).
        scale: classifier-free guidance, (batch, 1, 1, 1).
        steps: of the sampler.
    """

    model: TextToImage
    prompts: Sequence[str | torch.Tensor]
    context: torch.Tensor
    empty: torch.Tensor
    scale: torch.Tensor
    steps: int

    def encode(self, text: str | torch.Tensor) -> torch.Tensor:
        """A text's embedding, or that of vectors in the place of tokens' (tokens, width); (1, rows, width)."""
        if isinstance(text, str):
            return self.model.encode([text])
        with tokens_replaced(self.model.text_encoder, 1, text.to(self.model.device)):
            return self.model.encode([" ".join([PLACEHOLDER] * len(text))])

    def ids(self, text: str | torch.Tensor) -> tuple[torch.Tensor, int]:
        """The token ids of one of `prompts` with start, end and padding, int64 (77,), and how many stand between.

        Raises:
            NotApplicable: it is an embedding.
        """
        tokenizer, length = self.model.tokenizer, self.model.positions
        if isinstance(text, torch.Tensor):
            if text.ndim > 1:
                raise NotApplicable("it asks by an embedding, which has no tokens for the row's guide to read")
            ids = text.cpu()
            return ids, int((ids == tokenizer.eos_token_id).nonzero()[0]) - 1
        found = tokenizer(text, padding="max_length", max_length=length, truncation=True, return_tensors="pt")
        return found.input_ids[0], int(found.attention_mask.sum()) - 2

    @torch.no_grad()
    def wholes(self, ids: torch.Tensor) -> torch.Tensor:
        """Texts as wholes, by the text encoder's output at their ends: float64 on the CPU, (texts, width).

        A guide that needs them is registered with `one_encoder`.

        Args:
            ids: (texts, 77).
        """
        return self.model.text_encoder(ids.to(self.model.device))[1].double().cpu()

    def predict(
        self, z: torch.Tensor, t: float, *contexts: torch.Tensor, share: float = 1.0
    ) -> tuple[torch.Tensor, ...]:
        """ε(z, t, c) for each of these embeddings, by one forward; each (batch, channels, height, width).

        Args:
            z: latents, (batch, channels, height, width).
            t: the timestep.
            contexts: embeddings, (batch, rows, width) or (1, rows, width).
            share: of what the row's patch adds to the original's weights.
        """
        joined = torch.cat([context.expand(len(z), -1, -1) for context in contexts])
        asked = (torch.cat([z] * len(contexts)), t, joined)
        predict = self.model.predict_noise if share == 1 else partial(self.model.predict_noise_between, share)
        return predict(*asked).chunk(len(contexts))

    def begun(self, step: int, warm_up: int) -> bool:
        """Whether a step is after a warm-up of so many of 50, counted from the noisiest."""
        return step * REFERENCE_STEPS >= warm_up * self.steps


class Guide(Protocol):
    """A rule for drawing.

    Attributes:
        forwards: of the UNet, for a step and image; classifier-free guidance takes 2.
    """

    forwards: int

    def predictor(self, batch: GuidedBatch) -> Predict:
        """A new batch's predictions: (z, timestep, step) → the noise that the sampler is given."""
