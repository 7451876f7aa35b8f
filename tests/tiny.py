"""A Stable Diffusion pipeline as small as diffusers allows, with random weights, for tests of folders and loading."""

from pathlib import Path

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from transformers import CLIPTextModel, CLIPTextModelWithProjection

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


def tiny_xl(seed: int = 0) -> StableDiffusionXLPipeline:
    """SDXL's parts: two text encoders, sizes and the text's vector beside the words; images of 16 × 16 pixels."""
    plain = tiny_pipeline(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        unet = tiny_unet(
            cross_attention_dim=2 * WIDTH,
            addition_embed_type="text_time",
            addition_time_embed_dim=4,
            projection_class_embeddings_input_dim=WIDTH + 6 * 4,
            use_linear_projection=True,
        )
        first, second = (
            kind(text_config(WIDTH, layers=2, heads=1)) for kind in (CLIPTextModel, CLIPTextModelWithProjection)
        )
    return StableDiffusionXLPipeline(
        vae=plain.vae,
        text_encoder=first,
        text_encoder_2=second,
        tokenizer=plain.tokenizer,
        tokenizer_2=plain.tokenizer,
        unet=unet,
        scheduler=plain.scheduler,
        add_watermarker=False,
    )


def save_tiny(folder: Path, variant: str | None = None) -> Path:
    """The folder as `save_pretrained` writes it."""
    pipeline = tiny_pipeline()
    if variant == "fp16":
        pipeline.to(torch.float16)
    pipeline.save_pretrained(folder, variant=variant)
    return folder
