"""A Stable Diffusion pipeline as small as diffusers allows, with random weights, for tests of folders and loading."""

from pathlib import Path

import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextModel

from erasebench.models.architecture import assemble, text_config
from erasebench.models.catalog import MINI_WEIGHTS

WIDTH = 8


def tiny_unet(**changes: object) -> UNet2DConditionModel:
    """Latents (batch, 4, 8, 8), text (batch, 77, 8)."""
    options: dict[str, object] = {
        "sample_size": 8,
        "block_out_channels": (8, 8),
        "layers_per_block": 1,
        "norm_num_groups": 4,
        "cross_attention_dim": WIDTH,
        "attention_head_dim": 2,
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
    }
    return UNet2DConditionModel(**(options | changes))


def tiny_pipeline(seed: int = 0) -> StableDiffusionPipeline:
    """Images of 16 × 16 pixels."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        vae = AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2,
            block_out_channels=(8, 8),
            layers_per_block=1,
            norm_num_groups=4,
            sample_size=16,
        )
        text = CLIPTextModel(text_config(WIDTH, layers=1, heads=1))
        pipeline = assemble(vae, text, tiny_unet(), MINI_WEIGHTS / "pipeline" / "tokenizer")
    pipeline.register_modules(scheduler=DDIMScheduler.from_config(pipeline.scheduler.config))
    return pipeline


def save_tiny(folder: Path, variant: str | None = None) -> Path:
    """The folder as `save_pretrained` writes it."""
    pipeline = tiny_pipeline()
    if variant == "fp16":
        pipeline.to(torch.float16)
    pipeline.save_pretrained(folder, variant=variant)
    return folder
