"""Stable Diffusion v1's architecture from its configuration, with random weights and nothing to download."""

import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

from .mini.parts import assemble
from .mini.text import END, MAX_TOKENS, START, VOCABULARY_SIZE
from .sources import MINI_WEIGHTS

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
        text = CLIPTextConfig(
            vocab_size=VOCABULARY_SIZE,
            hidden_size=TEXT_WIDTH,
            intermediate_size=4 * TEXT_WIDTH,
            projection_dim=TEXT_WIDTH,
            num_hidden_layers=12,
            num_attention_heads=12,
            max_position_embeddings=MAX_TOKENS,
            bos_token_id=START,
            eos_token_id=END,
            pad_token_id=END,
        )
        return assemble(vae, CLIPTextModel(text), new_unet(), MINI_WEIGHTS / "pipeline" / "tokenizer")
