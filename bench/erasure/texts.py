"""A training's texts: as the original reads them, and as the student does where its text encoder trains."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from ..models.text_encoders import TextEncoders, frozen_copy
from ..models.text_to_image import TextToImage
from ..models.token_vectors import PLACEHOLDER, tokens_replaced

TOGETHER = 64  # texts


class Texts:
    """Embeddings of texts in a training.

    Args:
        model: the student.
        trained: the text encoder's weights that train, by any name; {} where the UNet is the student.
    """

    def __init__(self, model: TextToImage, trained: Mapping[str, nn.Parameter]) -> None:
        self._model = model
        self._known: dict[str, torch.Tensor] = {}
        self._first: TextEncoders | None = None  # None: the model's own stay as they are
        if trained:
            own = {id(weight) for weight in trained.values()}
            weights = (weight for network in model.texts.networks.values() for weight in network.parameters())
            self._first = frozen_copy(model.texts, [weight for weight in weights if id(weight) not in own])

    def original(self, *prompts: str) -> torch.Tensor:
        """The original's embeddings, of shape (len(prompts), 77, width), each encoded once."""
        new = [prompt for prompt in dict.fromkeys(prompts) if prompt not in self._known]
        for start in range(0, len(new), TOGETHER):
            chunk = new[start : start + TOGETHER]
            self._known |= dict(zip(chunk, self._model.encode(chunk, self._first).float(), strict=True))
        return torch.stack([self._known[prompt] for prompt in prompts])

    def student(self, *prompts: str, prefix: torch.Tensor | None = None) -> torch.Tensor:
        """The student's embeddings as they are now, with gradient; `prefix` as for `Trainer.student_text`."""
        if prefix is None:
            return self._model.texts.encode(prompts).float()
        before = " ".join([PLACEHOLDER] * len(prefix))
        with tokens_replaced(self._model.text_encoder, 1, prefix):
            return self._model.texts.encode([f"{before} {prompt}" for prompt in prompts]).float()
