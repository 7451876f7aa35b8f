"""Layers of Stable Diffusion's UNet where part of the input is the same for every text; that part is computed once."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F


def resnet_of_joined(resnet: Any, x: torch.Tensor, skip: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
    """A residual block of the concatenation of `x` and `skip`, whose one row serves every row of `x`.

    Normalisation works on groups of channels and convolutions are linear, so that the channels of all groups that lie
    in `skip` add the same to every row. A group that holds channels of both belongs to the rows.

    Args:
        resnet: a diffusers ResnetBlock2D with an ordinary time embedding.
        x: (rows, channels, height, width).
        skip: (1, channels', height, width).
        time: the time embedding, (1, width).
    """
    size = (x.shape[1] + skip.shape[1]) // resnet.norm1.num_groups
    own_groups = -(-x.shape[1] // size)
    cut = own_groups * size
    own = torch.cat([x, skip[:, : cut - x.shape[1]].expand(len(x), -1, -1, -1)], 1)
    rest = skip[:, cut - x.shape[1] :]
    convolve, shortcut = resnet.conv1, resnet.conv_shortcut

    def normalised(part: torch.Tensor, groups: int, channels: slice) -> torch.Tensor:
        norm = resnet.norm1
        scaled = F.group_norm(part, groups, norm.weight[channels], norm.bias[channels], norm.eps)
        return resnet.nonlinearity(scaled)

    first, last = slice(None, cut), slice(cut, None)
    once = F.conv2d(
        normalised(rest, resnet.norm1.num_groups - own_groups, last), convolve.weight[:, last], convolve.bias, padding=1
    )
    once = once + resnet.time_emb_proj(resnet.nonlinearity(time))[:, :, None, None]
    hidden = once + F.conv2d(normalised(own, own_groups, first), convolve.weight[:, first], padding=1)
    hidden = resnet.conv2(resnet.nonlinearity(resnet.norm2(hidden)))
    once = F.conv2d(rest, shortcut.weight[:, last], shortcut.bias)
    return hidden + F.conv2d(own, shortcut.weight[:, first]) + once


def first_attention(attention: Any, x: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
    """A transformer of one row for many texts: all before the first text is computed once.

    Args:
        attention: a diffusers Transformer2DModel with convolutions for projections.
        x: (1, channels, height, width).
        text: (texts, tokens, width).
    """
    hidden = attention.proj_in(attention.norm(x)).permute(0, 2, 3, 1)
    shape, hidden = hidden.shape, hidden.flatten(1, 2)
    for block in attention.transformer_blocks:
        hidden = hidden + block.attn1(block.norm1(hidden))
        hidden = hidden.expand(len(text), -1, -1)
        hidden = hidden + block.attn2(block.norm2(hidden), encoder_hidden_states=text)
        hidden = hidden + block.ff(block.norm3(hidden))
    hidden = hidden.reshape(len(text), *shape[1:]).permute(0, 3, 1, 2).contiguous()
    return attention.proj_out(hidden) + x


def upsampled(convolution: torch.nn.Conv2d, x: torch.Tensor) -> torch.Tensor:
    """Doubling by repetition and a 3 × 3 convolution, as one transposed convolution with 4/9 of the products.

    Of a window of 3 × 3 doubled pixels only 2 × 2 differ, so that weights on equal pixels can be added beforehand.
    """
    kernel = convolution.weight.transpose(0, 1)
    for axis in (2, 3):
        a, b, c = kernel.unbind(axis)
        kernel = torch.stack([c, b + c, a + b, a], axis)
    return F.conv_transpose2d(x, kernel, convolution.bias, stride=2, padding=1)
