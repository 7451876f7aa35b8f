"""What is known of concepts before anything is erased: how they read, what attention makes of that, how they look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from ..images.image_set import Encoder
from ..images.jobs import image_seed
from ..models.text_to_image import TextToImage

IMAGES, BATCH, STEPS, GUIDANCE = 4, 32, 12, 5.0
MEASURES = ("text", "keys and values", "image")

Vectors = Mapping[str, np.ndarray]  # by one of MEASURES, a vector for each concept: (concepts, width)


def vectors_of(
    model: TextToImage, encoder: Encoder, names: Sequence[str], phrases: Sequence[str]
) -> dict[str, np.ndarray]:
    """Concepts by each of MEASURES.

    Args:
        model: the original.
        encoder: whose features of images count, such as the embedded model's judge.
        names: the concepts, as a text encoder reads them.
        phrases: the same with their articles, as they stand in a prompt.
    """
    return read_vectors(model, names) | {"image": _images(model, encoder, [f"a photo of {text}" for text in phrases])}


def read_vectors(model: TextToImage, names: Sequence[str]) -> dict[str, np.ndarray]:
    """The same without images: what takes no drawing.

    Text is the embedding at the end token. Keys and values are what the cross-attention layers make of that embedding,
    one behind the other.
    """
    text = _at_end(model, names)
    return {"text": text, "keys and values": _keys_and_values(model, text)}


def cosines(values: np.ndarray, one: np.ndarray) -> np.ndarray:
    """Cosine of each row of (concepts, width) with a vector (width,)."""
    found: np.ndarray = (values @ one) / (np.linalg.norm(values, axis=1) * np.linalg.norm(one))
    return found


def _at_end(model: TextToImage, texts: Sequence[str]) -> np.ndarray:
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


def _images(model: TextToImage, encoder: Encoder, texts: Sequence[str]) -> np.ndarray:
    """Features of IMAGES images of each text by the original, scaled to length 1 and averaged, (texts, width)."""
    asked = [text for text in texts for _ in range(IMAGES)]
    empty, parts = model.encode([""]), []
    for start in range(0, len(asked), BATCH):
        batch = asked[start : start + BATCH]
        noise = model.noise([image_seed(0, text, start + k) for k, text in enumerate(batch)])
        images = model.decode(model.denoise(noise, model.encode(batch), empty, steps=STEPS, guidance=GUIDANCE))
        features = encoder.image_features(list(images))
        parts.append(features / np.linalg.norm(features, axis=1, keepdims=True))
    return np.concatenate(parts).reshape(len(texts), IMAGES, -1).mean(1)
