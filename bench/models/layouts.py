"""The kinds of pipeline that the bench can use: which parts a folder has, of which classes, with which weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import BenchError

INDEX = "model_index.json"
SUPPORTED = (
    "The bench erases from StableDiffusionPipeline and StableDiffusionXLPipeline: Stable Diffusion v1, v2 and XL, and "
    "what is fine-tuned from them. Choose such a model, as --model sd-v1-4."
)


@dataclass(frozen=True)
class Layout:
    """A kind of pipeline.

    Attributes:
        pipeline: its class.
        classes: by part, the classes that it may have, the usual one first.
        weights: by part with weights, the name of its file without suffix; the UNet first.
        tokenizers: the parts that read text.
    """

    pipeline: str
    classes: Mapping[str, tuple[str, ...]]
    weights: Mapping[str, str]
    tokenizers: tuple[str, ...]


TOKENIZERS = ("CLIPTokenizer", "CLIPTokenizerFast")
STABLE_DIFFUSION = Layout(
    "StableDiffusionPipeline",
    {
        "unet": ("UNet2DConditionModel",),
        "vae": ("AutoencoderKL",),
        "text_encoder": ("CLIPTextModel",),
        "tokenizer": TOKENIZERS,
    },
    {"unet": "diffusion_pytorch_model", "vae": "diffusion_pytorch_model", "text_encoder": "model"},
    ("tokenizer",),
)
XL = Layout(
    "StableDiffusionXLPipeline",
    {**STABLE_DIFFUSION.classes, "text_encoder_2": ("CLIPTextModelWithProjection",), "tokenizer_2": TOKENIZERS},
    {**STABLE_DIFFUSION.weights, "text_encoder_2": "model"},
    ("tokenizer", "tokenizer_2"),
)
LAYOUTS = {layout.pipeline: layout for layout in (STABLE_DIFFUSION, XL)}


def layout_of(index: Mapping[str, Any]) -> Layout:
    """The layout that a model_index.json tells.

    Raises:
        BenchError: it is another pipeline, or a part is of another class.
    """
    name = index.get("_class_name")
    if name == "StableDiffusionImg2ImgPipeline":
        raise BenchError(
            f"{INDEX} says {name}, an image-to-image pipeline. Its parts serve for text too: "
            "StableDiffusionPipeline.from_pretrained(FOLDER).save_pretrained(NEW), then --model NEW."
        )
    if name not in LAYOUTS:
        raise BenchError(f"{INDEX} says {name or 'no _class_name'}, not {' or '.join(LAYOUTS)}. {SUPPORTED}")
    layout = LAYOUTS[name]
    for part, allowed in layout.classes.items():
        entry = index.get(part)
        own = entry[1] if isinstance(entry, list) and len(entry) == 2 else None
        if own not in allowed:
            raise BenchError(f"{INDEX} says that {part} is {own or 'nothing'}, not {allowed[0]}. {SUPPORTED}")
    return layout
