"""Whether the networks of a pipeline belong together, by their configurations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import BenchError
from .layouts import SUPPORTED

SIZES = 6  # original height and width, the crop's top and left, wanted height and width


def check_together(configs: Mapping[str, Mapping[str, Any]]) -> None:
    """Whether the networks are of one Stable Diffusion.

    Args:
        configs: by part.

    Raises:
        BenchError: they are not, or take or give something that the bench does not know.
    """
    unet, vae, second = configs["unet"], configs["vae"], configs.get("text_encoder_2")
    texts = [config for part, config in configs.items() if part.startswith("text_encoder")]
    channels, latents, width = unet.get("in_channels", 4), vae.get("latent_channels", 4), sum(map(_width, texts))
    if channels == 9:
        raise BenchError(f"its UNet takes 9 channels: an inpainting model's. {SUPPORTED}")
    if channels == 8 and latents == 4:
        raise BenchError(f"its UNet takes 8 channels: a model that edits images (InstructPix2Pix). {SUPPORTED}")
    if not channels == unet.get("out_channels", 4) == latents:
        raise BenchError(
            f"its UNet takes {channels} channels and gives {unet.get('out_channels', 4)}, its VAE has {latents}. "
            f"{SUPPORTED}"
        )
    cross = unet.get("cross_attention_dim", 1280)
    if cross != width:
        raise BenchError(
            f"its UNet's cross-attention has a width of {cross} and its text encoder{'s' * (second is not None)} "
            f"one of {width}: parts of two models. {SUPPORTED}"
        )
    for key in (
        "addition_embed_type",
        "encoder_hid_dim_type",
        "class_embed_type",
        "num_class_embeds",
        "time_cond_proj_dim",
    ):
        if unet.get(key) is not None and not (second is not None and key == "addition_embed_type"):
            raise BenchError(f"its UNet has {key} {unet[key]!r}: it takes more than a text (as LCM does). {SUPPORTED}")
    if second is not None:
        _check_xl(unet, second, cross)
    for key in ("shift_factor", "latents_mean", "latents_std"):
        if vae.get(key) is not None:
            raise BenchError(f"its VAE has a {key}, which Stable Diffusion's has not. {SUPPORTED}")
    if not isinstance(unet.get("sample_size"), int):
        raise BenchError(
            f"unet/config.json has sample_size {unet.get('sample_size')!r} where a whole number is needed, the side of "
            "the latents: only square images are drawn."
        )


def _width(text: Mapping[str, Any]) -> int:
    return int(text.get("hidden_size", 512))


def _check_xl(unet: Mapping[str, Any], text: Mapping[str, Any], cross: int) -> None:
    """What SDXL's UNet takes beside the words: the text as one vector, and six numbers about sizes."""
    kind = unet.get("addition_embed_type")
    if kind != "text_time":
        raise BenchError(f"its UNet has addition_embed_type {kind!r}, not SDXL's 'text_time'. {SUPPORTED}")
    pooled = int(text.get("projection_dim", 512))
    wanted = pooled + SIZES * int(unet.get("addition_time_embed_dim") or 0)
    given = unet.get("projection_class_embeddings_input_dim")
    if given != wanted:
        raise BenchError(
            f"its UNet takes {given} numbers beside the words, where text_encoder_2's vector of {pooled} and {SIZES} "
            f"sizes make {wanted} (SDXL's refiner takes others). {SUPPORTED}"
        )
    if pooled > cross:
        raise BenchError(f"text_encoder_2 gives a vector of {pooled}, wider than the words' {cross}. {SUPPORTED}")
