"""What a UNet is told of a text, as one tensor: a row for each token and, in SDXL, a last one for the whole text."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import torch
from diffusers import DiffusionPipeline
from torch import nn
from torch.nn.functional import pad


class TextEncoders(Protocol):
    """A pipeline's text encoders.

    Attributes:
        networks: by part.
        tokenizers: by part.
    """

    networks: dict[str, nn.Module]
    tokenizers: dict[str, Any]

    def encode(self, prompts: Sequence[str]) -> torch.Tensor:
        """Embeddings of shape (prompts, rows, width)."""

    def arguments(self, context: torch.Tensor, height: int, width: int) -> tuple[torch.Tensor, dict[str, Any]]:
        """The rows of tokens, and what the UNet takes beside them, for images of that many pixels."""


def text_encoders(pipeline: DiffusionPipeline, device: str) -> TextEncoders:
    """A pipeline's, on a device."""
    return TwoEncoders(pipeline, device) if hasattr(pipeline, "text_encoder_2") else OneEncoder(pipeline, device)


def frozen_copy(texts: TextEncoders, shared: Iterable[torch.Tensor]) -> TextEncoders:
    """Encoders as they are now, frozen; weights in `shared` never change and are not copied."""
    copied, same = copy.copy(texts), {id(weight): weight for weight in shared}
    copied.networks = {
        part: copy.deepcopy(network, dict(same)).eval().requires_grad_(False)
        for part, network in texts.networks.items()
    }
    return copied


class OneEncoder:
    """Stable Diffusion v1's and v2's: 77 rows, the last hidden states after the final normalisation."""

    def __init__(self, pipeline: DiffusionPipeline, device: str) -> None:
        self.networks = {"text_encoder": _frozen(pipeline.text_encoder, device)}
        self.tokenizers = {"tokenizer": pipeline.tokenizer}
        self._device = device

    def encode(self, prompts: Sequence[str]) -> torch.Tensor:
        """(prompts, 77, width)."""
        found: torch.Tensor = self.networks["text_encoder"](_ids(self.tokenizers["tokenizer"], prompts, self._device))[
            0
        ]
        return found

    def arguments(self, context: torch.Tensor, height: int, width: int) -> tuple[torch.Tensor, dict[str, Any]]:
        """All rows, and nothing beside them."""
        return context, {}


class TwoEncoders:
    """SDXL's (arXiv 2307.01952, section 2.1).

    77 rows of both encoders' penultimate hidden states side by side; the 78th is the second encoder's projected vector,
    zeros behind it. So whatever adds, moves or searches an embedding does it with all that SDXL reads of a text. Where
    the pipeline says `force_zeros_for_empty_prompt`, the empty text is zeros: what it draws with where no negative
    prompt is given. The UNet also takes six sizes: always (height, width, 0, 0, height, width), nothing cropped.
    """

    def __init__(self, pipeline: DiffusionPipeline, device: str) -> None:
        self.networks = {part: _frozen(getattr(pipeline, part), device) for part in ("text_encoder", "text_encoder_2")}
        self.tokenizers = {part: getattr(pipeline, part) for part in ("tokenizer", "tokenizer_2")}
        self.zeros = bool(pipeline.config.force_zeros_for_empty_prompt)
        self._pooled = int(pipeline.text_encoder_2.config.projection_dim)
        self._device = device

    def encode(self, prompts: Sequence[str]) -> torch.Tensor:
        """(prompts, 78, both widths)."""
        outputs = [
            network(_ids(tokenizer, prompts, self._device), output_hidden_states=True)
            for tokenizer, network in zip(self.tokenizers.values(), self.networks.values(), strict=True)
        ]
        words = torch.cat([output.hidden_states[-2] for output in outputs], -1)
        whole = pad(outputs[1].text_embeds, (0, words.shape[-1] - self._pooled))
        found = torch.cat([words, whole[:, None]], 1)
        if self.zeros:
            found[[k for k, prompt in enumerate(prompts) if prompt == ""]] = 0
        return found

    def arguments(self, context: torch.Tensor, height: int, width: int) -> tuple[torch.Tensor, dict[str, Any]]:
        """77 rows; the text's vector and the sizes beside them."""
        sizes = torch.tensor([[height, width, 0, 0, height, width]], dtype=context.dtype, device=context.device)
        more = {"text_embeds": context[:, -1, : self._pooled], "time_ids": sizes.expand(len(context), -1)}
        return context[:, :-1], {"added_cond_kwargs": more}


def _frozen(network: nn.Module, device: str) -> nn.Module:
    return network.to(device).eval().requires_grad_(False)


def _ids(tokenizer: Any, prompts: Sequence[str], device: str) -> torch.Tensor:
    length = tokenizer.model_max_length
    tokens = tokenizer(list(prompts), padding="max_length", max_length=length, truncation=True, return_tensors="pt")
    ids: torch.Tensor = tokens.input_ids
    return ids.to(device)
