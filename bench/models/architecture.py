"""What every Stable Diffusion v1 pipeline shares: text transformer, noise schedule, assembly."""

from pathlib import Path

from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from .clip_tokens import END, MAX_TOKENS, START, VOCABULARY_SIZE


def text_config(width: int, layers: int, heads: int) -> CLIPTextConfig:
    """A text transformer over CLIP's vocabulary and 77 positions."""
    return CLIPTextConfig(
        vocab_size=VOCABULARY_SIZE,
        hidden_size=width,
        intermediate_size=4 * width,
        projection_dim=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        max_position_embeddings=MAX_TOKENS,
        bos_token_id=START,
        eos_token_id=END,
        pad_token_id=END,
    )


def new_scheduler() -> DDIMScheduler:
    """Stable Diffusion v1's noise schedule."""
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )


def assemble(
    vae: AutoencoderKL, text_encoder: CLIPTextModel, unet: UNet2DConditionModel, tokenizer_folder: Path
) -> StableDiffusionPipeline:
    """The parts as one StableDiffusionPipeline."""
    return StableDiffusionPipeline(
        vae=vae,
        text_encoder=text_encoder,
        tokenizer=CLIPTokenizer.from_pretrained(tokenizer_folder),
        unet=unet,
        scheduler=new_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
