"""A pipeline's weights, part by part: every tensor comes from a file, and every tensor of a file has a place."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import diffusers
import torch
import transformers
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    DiffusionPipeline,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from safetensors import SafetensorError
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from ..errors import ModelUnavailable
from .layouts import INDEX, XL
from .pipeline_folder import PUT_PART, PipelineFolder
from .weight_files import read_object, some

NETWORKS: dict[str, Any] = {
    "unet": UNet2DConditionModel,
    "vae": AutoencoderKL,
    "text_encoder": CLIPTextModel,
    "text_encoder_2": CLIPTextModelWithProjection,
}
IGNORED = ("position_ids",)  # 0 … 76, which old versions of transformers saved
UNREADABLE = (OSError, ValueError, TypeError, KeyError, RuntimeError, SafetensorError)


def read_pipeline(folder: PipelineFolder) -> DiffusionPipeline:
    """The pipeline in float32, without safety checker, with a sampler that knows only the model's noise levels.

    Raises:
        ModelUnavailable: a tensor is missing, left over or of another shape, or a library can't read it.
    """
    for library in (diffusers, transformers):
        library.utils.logging.disable_progress_bar()
        library.utils.logging.set_verbosity_error()
    networks = {part: _network(folder, part) for part in folder.layout.weights}
    pairs = {part: part.replace("tokenizer", "text_encoder") for part in folder.layout.tokenizers}
    tokenizers = {part: _tokenizer(folder, part, networks[encoder]) for part, encoder in pairs.items()}
    scheduler = DDIMScheduler(**folder.schedule, clip_sample=False, set_alpha_to_one=False, steps_offset=1)
    if folder.layout is XL:
        zeros = read_object(folder.root / INDEX).get("force_zeros_for_empty_prompt", True)
        return StableDiffusionXLPipeline(
            **networks, **tokenizers, scheduler=scheduler, force_zeros_for_empty_prompt=zeros, add_watermarker=False
        )
    return StableDiffusionPipeline(
        **networks,
        **tokenizers,
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def _network(folder: PipelineFolder, part: str) -> Any:
    """One of the networks; libraries fill what is missing with random numbers, so that what they report is checked."""
    where = f"--model {folder.root}: {part}"
    try:
        network, report = NETWORKS[part].from_pretrained(
            folder.root / part,
            variant=folder.variants[part],
            torch_dtype=torch.float32,
            use_safetensors=True,
            output_loading_info=True,
            local_files_only=True,
        )
    except UNREADABLE as error:
        lines = str(error).strip().splitlines()
        raise ModelUnavailable(
            f"{where} can't be loaded by diffusers {version('diffusers')} and transformers {version('transformers')}: "
            f"{lines[0] if lines else type(error).__name__} Weights and config.json must be of one model; copy both "
            "from one, or fetch them again."
        ) from None
    expected = network.state_dict()
    for fault, key in (
        ("lacks", "missing_keys"),
        ("has in another shape", "mismatched_keys"),
        ("has besides", "unexpected_keys"),
    ):
        names = sorted(str(name) for name in report[key] if not str(name).endswith(IGNORED))
        if names:
            raise ModelUnavailable(
                f"{where} {fault} {len(names)} tensors of the {len(expected)} that its config.json asks for: "
                f"{some(names)}. Weights and config.json must be of one model; copy both from one, or fetch them "
                f"again.{f' Is it a part of a UNet? {PUT_PART}' if part == 'unet' and fault == 'lacks' else ''}"
            )
    return network


def _tokenizer(
    folder: PipelineFolder, part: str, text_encoder: CLIPTextModel | CLIPTextModelWithProjection
) -> CLIPTokenizer:
    """The tokenizer, with a length that the text encoder has positions for: saved ones may lack it."""
    where = f"--model {folder.root}: {part}"
    try:
        tokenizer = CLIPTokenizer.from_pretrained(folder.root / part, local_files_only=True)
    except UNREADABLE as error:
        raise ModelUnavailable(f"{where} can't be read: {error}. Copy CLIP's from the original model.") from None
    config = text_encoder.config
    if len(tokenizer) > config.vocab_size:
        raise ModelUnavailable(
            f"{where} has {len(tokenizer)} tokens and its text encoder embeddings for {config.vocab_size}: parts of "
            "two models. Copy both from one."
        )
    tokenizer.model_max_length = min(tokenizer.model_max_length, config.max_position_embeddings)
    if tokenizer.pad_token is None:
        raise ModelUnavailable(
            f"{where} names no pad_token. Copy CLIP's tokenizer_config.json from the original model."
        )
    return tokenizer
