"""A checkpoint in Stable Diffusion's original layout, by the names of diffusers: the conversion is diffusers' own."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers.loaders.single_file_utils import (
    convert_ldm_clip_checkpoint,
    convert_ldm_unet_checkpoint,
    convert_ldm_vae_checkpoint,
    convert_open_clip_checkpoint,
)
from safetensors.torch import load_file

from ...errors import BenchError
from ..text_to_image import TextToImage
from ..weight_files import some

UNET, VAE, CLIP, OPEN_CLIP = (
    "model.diffusion_model.",
    "first_stage_model.",
    "cond_stage_model.transformer.",
    "cond_stage_model.model.",
)


def read_original(file: Path, base: TextToImage) -> dict[str, torch.Tensor]:
    """Whatever of UNet, text encoder and VAE the file has, by a patch's names.

    An average of the weights (model_ema) that lies beside them is left out.

    Raises:
        BenchError: it is of another architecture.
    """
    state = load_file(file)
    found: dict[str, torch.Tensor] = {}
    try:
        if own := _below(state, UNET):
            unet = convert_ldm_unet_checkpoint(own, base.unet.config)
            if len(unet) != len(own):
                raise BenchError(
                    f"of its UNet's {len(own)} tensors {len(unet)} have a place in the base: another model's."
                )
            found |= unet
        if own := _below(state, VAE):
            vae = convert_ldm_vae_checkpoint(own, base.vae.config)
            found |= {f"vae.{name}": value for name, value in vae.items()}
        if own := _below(state, CLIP):
            text = convert_ldm_clip_checkpoint(own)
            found |= {f"text_encoder.{name}": value for name, value in text.items()}
        elif own := _below(state, OPEN_CLIP):
            text = convert_open_clip_checkpoint(base.text_encoder, own)
            found |= {f"text_encoder.{name}": value for name, value in text.items()}
    except (KeyError, IndexError, ValueError, AttributeError, RuntimeError) as error:
        raise BenchError(
            f"diffusers can't convert it for this base ({error}): it is of another architecture."
        ) from None
    if not found:
        raise BenchError(f"it holds {some(sorted(state))}, and nothing of UNet, text encoder or VAE.")
    return found


def _below(state: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name: value for name, value in state.items() if name.startswith(prefix)}
