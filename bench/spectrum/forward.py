"""The UNet's prediction of one latent for many texts: what does not depend on the text is computed once."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import UNet2DConditionModel
from torch.utils.flop_counter import FlopCounterMode

from ..models.text_to_image import TextToImage
from .shared_layers import first_attention, resnet_of_joined, upsampled

DOWN, UP = {"DownBlock2D", "CrossAttnDownBlock2D"}, {"UpBlock2D", "CrossAttnUpBlock2D"}


def can_share(unet: UNet2DConditionModel) -> bool:
    """Whether the UNet has Stable Diffusion v1's form, which `predict_for_texts` spells out."""
    config = unet.config
    return (
        set(config.down_block_types) <= DOWN
        and set(config.up_block_types) <= UP
        and config.mid_block_type == "UNetMidBlock2DCrossAttn"
        and config.class_embed_type is None
        and config.addition_embed_type is None
        and config.encoder_hid_dim_type is None
        and config.time_cond_proj_dim is None
        and config.resnet_time_scale_shift == "default"
        and config.attention_type == "default"
        and not config.center_input_sample
        and not config.use_linear_projection
        and not config.only_cross_attention
        and not config.dual_cross_attention
    )


def predict_for_texts(model: TextToImage, z: torch.Tensor, t: int, contexts: torch.Tensor) -> torch.Tensor:
    """The prediction at z and t for every row c of `contexts`, equal to the UNet's own forward on z repeated.

    Args:
        model: whose UNet predicts; one of another form than Stable Diffusion v1's makes its own forward.
        z: one latent, (1, channels, height, width).
        t: its timestep.
        contexts: text embeddings, (texts, tokens, width).

    Returns:
        (texts, channels, height, width) in the UNet's dtype.
    """
    unet = model.unet
    if not can_share(unet):
        return model.predict(z.to(unet.dtype).expand(len(contexts), -1, -1, -1), t, contexts.to(unet.dtype), unet)
    text = contexts.to(unet.dtype)
    time = unet.time_embedding(unet.time_proj(torch.tensor([t], device=z.device)).to(unet.dtype))

    def full(x: torch.Tensor) -> torch.Tensor:
        return x.expand(len(text), -1, -1, -1)

    def attend(attention: Any, x: torch.Tensor) -> torch.Tensor:
        if len(x) < len(text):
            return first_attention(attention, x, text)
        return attention(x, encoder_hidden_states=text, return_dict=False)[0]

    def join(resnet: Any, x: torch.Tensor, skip: torch.Tensor) -> torch.Tensor:
        if len(skip) < len(x):
            return resnet_of_joined(resnet, x, skip, time)
        return resnet(torch.cat([x, skip], 1), time)

    x = unet.conv_in(z.to(unet.dtype))
    skips = [x]
    for block in unet.down_blocks:
        for resnet, attention in zip(block.resnets, _attentions(block), strict=True):
            x = resnet(x, time)
            x = x if attention is None else attend(attention, x)
            skips.append(x)
        for downsampler in block.downsamplers or ():
            x = downsampler(x)
            skips.append(x)
    x = unet.mid_block.resnets[0](x, time)
    for attention, resnet in zip(unet.mid_block.attentions, unet.mid_block.resnets[1:], strict=True):
        x = resnet(attend(attention, x), time)
    for block in unet.up_blocks:
        for resnet, attention in zip(block.resnets, _attentions(block), strict=True):
            x = join(resnet, full(x), skips.pop())
            x = x if attention is None else attend(attention, x)
        for upsampler in block.upsamplers or ():
            x = upsampled(upsampler.conv, x) if x.device.type == "cpu" else upsampler(x)
    return unet.conv_out(unet.conv_act(unet.conv_norm_out(x)))


@torch.no_grad()
def gflop_a_text(model: TextToImage, z: torch.Tensor, t: int, contexts: torch.Tensor) -> float:
    """10⁹ floating-point operations of one text's prediction; what is shared counts once a batch."""
    with FlopCounterMode(display=False) as counter:
        predict_for_texts(model, z, t, contexts)
    return counter.get_total_flops() / 1e9 / len(contexts)


def _attentions(block: Any) -> list[Any]:
    return list(getattr(block, "attentions", None) or [None] * len(block.resnets))
