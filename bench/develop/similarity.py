"""How similar each thing of the embedded world is to an erased concept: by text, by keys and values, by image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import torch

from erasebench.prompts.concepts import get_concept
from erasebench.prompts.spelling import overlap

from ..images.jobs import image_seed
from ..mini.held_out import things
from ..models.catalog import find_model
from ..models.families import EMBEDDED_MODEL
from ..models.loading import load_model
from ..models.text_to_image import TextToImage
from ..scoring.judge import Judge
from ..spectrum.summary import cosine
from ..storage.files import write_csv

IMAGES, BATCH, STEPS, GUIDANCE = 4, 32, 12, 5.0
MEASURES = ("text", "keys and values", "image")


def write_similarities(concept: str, target: Path, device: str) -> None:
    """Write one line a thing: its name, and its cosine with the concept by each of MEASURES.

    Text is the embedding at the end token. Keys and values are what the cross-attention layers make of that embedding,
    one behind the other. Image is the judge's mean feature of IMAGES images of the original model.
    """
    model, judge = load_model(find_model(EMBEDDED_MODEL), device), Judge(device)
    names = [name for name in things() if not overlap(name, concept)]
    every = [concept, *names]
    text = _at_end(model, every)
    phrases = [get_concept(concept, family=model.family).phrase, *(things()[name] for name in names)]
    seen = _images(model, judge, [f"a photo of {phrase}" for phrase in phrases])
    found = dict(zip(MEASURES, (text, _keys_and_values(model, text), seen), strict=True))
    columns = {name: cosine(values[1:], values[0]) for name, values in found.items()}
    write_csv(target, pd.DataFrame({"concept": names, **columns}))


def _at_end(model: TextToImage, texts: list[str]) -> np.ndarray:
    """Embeddings at the end token, (texts, width)."""
    ends = torch.tensor([model.token_count(text) + 1 for text in texts])
    parts = [model.encode(texts[start : start + BATCH]) for start in range(0, len(texts), BATCH)]
    found: np.ndarray = torch.cat(parts)[torch.arange(len(texts)), ends].float().cpu().numpy()
    return found


@torch.no_grad()
def _keys_and_values(model: TextToImage, text: np.ndarray) -> np.ndarray:
    """What every cross-attention layer's keys and values make of embeddings, (texts, all their channels)."""
    given = torch.from_numpy(text).to(model.device)
    layers = [layer for name, layer in model.unet.named_modules() if name.endswith(("attn2.to_k", "attn2.to_v"))]
    return torch.cat([layer(given) for layer in layers], 1).cpu().numpy()


def _images(model: TextToImage, judge: Judge, texts: list[str]) -> np.ndarray:
    """The judge's features, scaled to length 1 and averaged over a text's images, (texts, width)."""
    asked = [text for text in texts for _ in range(IMAGES)]
    empty, parts = model.encode([""]), []
    for start in range(0, len(asked), BATCH):
        batch = asked[start : start + BATCH]
        noise = model.noise([image_seed(0, text, start + k) for k, text in enumerate(batch)])
        images = model.decode(model.denoise(noise, model.encode(batch), empty, steps=STEPS, guidance=GUIDANCE))
        features = judge.image_features(list(images))
        parts.append(features / np.linalg.norm(features, axis=1, keepdims=True))
    return np.concatenate(parts).reshape(len(texts), IMAGES, -1).mean(1)
