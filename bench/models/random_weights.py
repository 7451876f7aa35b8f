"""Stable Diffusion v1's architecture from its configuration, with random weights and nothing to download."""

import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextModel

from .architecture import assemble, text_config
from .catalog import MINI_WEIGHTS

TEXT_WIDTH = 768


def new_unet() -> UNet2DConditionModel:
    """The noise predictor of 859,520,964 parameters: latents (batch, 4, 64, 64), text (batch, 77, 768)."""
    return UNet2DConditionModel(sample_size=64, cross_attention_dim=TEXT_WIDTH, attention_head_dim=8)


def random_pipeline(seed: int = 0) -> StableDiffusionPipeline:
    """The whole pipeline with random weights in float32 (4.3 GB), and CLIP's real tokenizer."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        vae = AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            block_out_channels=(128, 256, 512, 512),
            layers_per_block=2,
            sample_size=512,
            scaling_factor=0.18215,
        )
        text = CLIPTextModel(text_config(TEXT_WIDTH, layers=12, heads=12))
        return assemble(vae, text, new_unet(), MINI_WEIGHTS / "pipeline" / "tokenizer")
