"""The embedded model's networks: real diffusers, transformers and open_clip classes with tiny configurations."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextModel

from ...models.architecture import text_config
from ...models.clip_tokens import MAX_TOKENS, VOCABULARY_SIZE

IMAGE_SIZE, LATENT_SIZE, LATENT_CHANNELS = 64, 16, 4


def judge_config(settings: Mapping[str, Any], text_width: int) -> dict[str, Any]:
    """open_clip's configuration of the judge: a small ResNet beside a text transformer of two layers."""
    return {
        "embed_dim": settings["embedding"],
        "vision_cfg": {
            "image_size": IMAGE_SIZE,
            "layers": [1, 1, 1, 1],
            "width": settings["width"],
            "patch_size": None,
        },
        "text_cfg": {
            "context_length": MAX_TOKENS,
            "vocab_size": VOCABULARY_SIZE,
            "width": text_width,
            "heads": 4,
            "layers": 2,
        },
    }


def new_unet(channels: Sequence[int], text_width: int) -> UNet2DConditionModel:
    """The noise predictor: latents (batch, 4, 16, 16), text (batch, 77, text_width)."""
    return UNet2DConditionModel(
        sample_size=LATENT_SIZE,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        layers_per_block=1,
        block_out_channels=tuple(channels),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=text_width,
        attention_head_dim=4,
        norm_num_groups=16,
    )


def new_vae() -> AutoencoderKL:
    """The autoencoder: images (batch, 3, 64, 64) in [-1, 1] to latents (batch, 4, 16, 16)."""
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=(24, 48, 64),
        layers_per_block=1,
        latent_channels=LATENT_CHANNELS,
        norm_num_groups=8,
        sample_size=IMAGE_SIZE,
        scaling_factor=1.0,
        mid_block_add_attention=False,
    )


def new_text_encoder(table: torch.Tensor) -> CLIPTextModel:
    """CLIP's text transformer over the frozen token table of shape (49408, width)."""
    model = CLIPTextModel(text_config(table.shape[1], layers=2, heads=4))
    embedding = model.get_input_embeddings()
    embedding.weight.data.copy_(table)
    embedding.weight.requires_grad_(False)
    return model
