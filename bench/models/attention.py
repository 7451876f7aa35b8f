"""Cross-attention (attn2) whose probabilities can be seen and changed, and whose start token can be left alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from torch import nn

Change = Callable[[torch.Tensor], torch.Tensor]


class VisibleAttention:
    """An attention processor that materialises softmax(QKᵀ/√d) and passes it through a function."""

    def __init__(self, change: Change) -> None:
        self.change = change

    def __call__(
        self,
        attn: Any,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        **_: Any,
    ) -> torch.Tensor:
        source = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        query, key, value = attn.to_q(hidden_states), attn.to_k(source), attn.to_v(source)
        query, key, value = (attn.head_to_batch_dim(part) for part in (query, key, value))
        probabilities = attn.get_attention_scores(query, key, attention_mask)
        batch, (_, pixels, tokens) = len(hidden_states), probabilities.shape
        changed = self.change(probabilities.view(batch, -1, pixels, tokens)).reshape(-1, pixels, tokens)
        mixed = attn.batch_to_head_dim(torch.bmm(changed.to(value.dtype), value))
        return attn.to_out[1](attn.to_out[0](mixed))


@contextmanager
def visible_cross_attention(unet: UNet2DConditionModel, change: Change) -> Iterator[None]:
    """Inside the block, every attn2 passes its probabilities through `change`.

    `change` gets and returns a tensor of shape (batch, heads, pixels, tokens); rows sum to 1 before it and are
    not normalised after it. Of blocks within one another, the outer one sees them first.
    """

    def seen(old: Any) -> VisibleAttention:
        if isinstance(old, VisibleAttention):
            return VisibleAttention(lambda probabilities: change(old.change(probabilities)))
        return VisibleAttention(change)

    before = unet.attn_processors
    unet.set_attn_processor({name: seen(old) if ".attn2." in name else old for name, old in before.items()})
    try:
        yield
    finally:
        unet.set_attn_processor(before)


@contextmanager
def start_token_detached(unet: UNet2DConditionModel) -> Iterator[None]:
    """Inside the block, no gradient flows through the start token's keys and values in attn2."""

    def detach_first(layer: nn.Module, inputs: Any, output: torch.Tensor) -> torch.Tensor:
        return torch.cat([output[:, :1].detach(), output[:, 1:]], 1)

    layers = [layer for name, layer in unet.named_modules() if name.endswith(("attn2.to_k", "attn2.to_v"))]
    hooks = [layer.register_forward_hook(detach_first) for layer in layers]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
