"""A text encoder from inside: token ids, their vectors, and embeddings of either."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import torch

from ..models.token_vectors import tokens_replaced

if TYPE_CHECKING:
    from ..models.text_to_image import TextToImage


class Tokens:
    """The tokens of one model.

    Attributes:
        passes: texts that went through the text encoder so far.
    """

    def __init__(self, model: TextToImage) -> None:
        self._model, self._tokenizer = model, model.tokenizer
        self.start, self.end = int(self._tokenizer.bos_token_id), int(self._tokenizer.eos_token_id)
        self.length = int(self._tokenizer.model_max_length)
        self.passes = 0

    @property
    def table(self) -> torch.Tensor:
        """The vector of every token, float32 of shape (vocabulary, width)."""
        return self._model.text_encoder.get_input_embeddings().weight.detach().float()

    @cached_property
    def free(self) -> torch.Tensor:
        """The ids that may stand within a prompt: all but start, end and padding."""
        special = {self.start, self.end, *self._tokenizer.all_special_ids}
        return torch.tensor([k for k in range(len(self.table)) if k not in special])

    def ids(self, text: str) -> torch.Tensor:
        """A text's ids with start, end and padding, int64 of shape (77,)."""
        return self._framed(self.content(text))

    def content(self, text: str) -> list[int]:
        """A text's ids without start, end and padding; what is too long is cut."""
        return list(self._tokenizer(text, truncation=True, max_length=self.length).input_ids[1:-1])

    def prefixed(self, text: str, prefix: torch.Tensor) -> torch.Tensor:
        """Ids of shape (77,) of a text behind some tokens, (k,); a text that is too long then loses its end."""
        return self._framed([*prefix.tolist(), *self.content(text)])

    def random(self, count: int, generator: torch.Generator) -> torch.Tensor:
        """So many ids at random, each as likely as any other, of shape (count,)."""
        return self.free[torch.randint(len(self.free), (count,), generator=generator)]

    def read(self, ids: torch.Tensor) -> str:
        """Ids as a text, without start, end and padding."""
        kept = [int(k) for k in ids if int(k) not in (self.start, self.end)]
        return " ".join(self._tokenizer.decode(kept, skip_special_tokens=True).split())

    @torch.no_grad()
    def encode(self, ids: torch.Tensor) -> torch.Tensor:
        """Embeddings of ids (batch, 77): float32 of shape (batch, 77, width)."""
        self.passes += len(ids)
        return self._model.text_encoder(ids.to(self._model.device))[0].float()

    def encode_vectors(self, vectors: torch.Tensor) -> torch.Tensor:
        """Embeddings of vectors in the tokens' place, both (batch, 77, width); gradients pass through."""
        self.passes += len(vectors)
        ids = torch.full(vectors.shape[:2], self.end, device=self._model.device)
        with tokens_replaced(self._model.text_encoder, 0, vectors):
            return self._model.text_encoder(ids)[0].float()

    def _framed(self, content: list[int]) -> torch.Tensor:
        kept = [self.start, *content[: self.length - 2], self.end]
        padding = self._tokenizer.pad_token_id
        return torch.tensor(kept + [self.end if padding is None else padding] * (self.length - len(kept)))
