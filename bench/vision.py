"""The feature models for other pipelines than the embedded one: open_clip by name, clean-fid's Inception."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image

from .scoring import NotApplicable, Vision

CLIP_ARCHITECTURE, CLIP_WEIGHTS = "ViT-B-32-quickgelu", "openai"


class UnitScale:
    """A CLIP model's embeddings at a root mean square of 1, for FID and KID: their length means nothing."""

    def __init__(self, vision: Vision) -> None:
        self.name, self.qualifier, self._vision = f"{vision.name} (unit scale)", vision.qualifier, vision

    def image_features(self, images: Sequence[np.ndarray], batch_size: int = 64) -> np.ndarray:
        """Image embeddings, float32 of shape (images, width)."""
        features = self._vision.image_features(images, batch_size)
        return features / np.sqrt((features**2).mean(1, keepdims=True))

    def text_features(self, texts: Sequence[str], batch_size: int = 64) -> np.ndarray:
        """Text embeddings of length 1, float32 of shape (texts, width)."""
        return self._vision.text_features(texts, batch_size)


class OpenClip:
    """An open_clip model by architecture and weights."""

    qualifier = ""

    def __init__(self, device: str, architecture: str = CLIP_ARCHITECTURE, weights: str = CLIP_WEIGHTS) -> None:
        import open_clip

        self.name, self.device = f"open_clip {architecture} {weights}", device
        try:
            model, _, self._preprocess = open_clip.create_model_and_transforms(architecture, weights, device=device)
        except (OSError, RuntimeError, ValueError) as error:
            raise NotApplicable(f"{self.name} is not in the cache and could not be fetched: {error}") from None
        self._model = model.eval().requires_grad_(False)
        self._tokenize = open_clip.get_tokenizer(architecture)

    @torch.no_grad()
    def image_features(self, images: Sequence[np.ndarray], batch_size: int = 64) -> np.ndarray:
        """Image embeddings, float32 of shape (images, width)."""
        parts = []
        for start in range(0, len(images), batch_size):
            batch = [self._preprocess(Image.fromarray(image)) for image in images[start : start + batch_size]]
            parts.append(self._model.encode_image(torch.stack(batch).to(self.device)).float().cpu().numpy())
        return np.concatenate(parts)

    @torch.no_grad()
    def text_features(self, texts: Sequence[str], batch_size: int = 64) -> np.ndarray:
        """Text embeddings of length 1, float32 of shape (texts, width)."""
        parts = []
        for start in range(0, len(texts), batch_size):
            tokens = self._tokenize(list(texts[start : start + batch_size])).to(self.device)
            parts.append(self._model.encode_text(tokens, normalize=True).float().cpu().numpy())
        return np.concatenate(parts)


class CleanFidInception:
    """clean-fid's own Inception, on images resized by clean-fid's own antialiased bicubic resize."""

    name, qualifier = "clean-fid Inception", ""

    def __init__(self, device: str) -> None:
        from cleanfid.features import build_feature_extractor
        from cleanfid.resize import build_resizer

        try:
            self._model = build_feature_extractor("clean", torch.device(device), use_dataparallel=False)
        except OSError as error:
            raise NotApplicable(
                "clean-fid's Inception weights are missing and could not be fetched; put "
                f"inception-2015-12-05.pt into /tmp ({error})"
            ) from None
        self._resize, self.device = build_resizer("clean"), device

    @torch.no_grad()
    def image_features(self, images: Sequence[np.ndarray], batch_size: int = 32) -> np.ndarray:
        """Pool features, float32 of shape (images, 2048)."""
        parts = []
        for start in range(0, len(images), batch_size):
            batch = np.stack([self._resize(image) for image in images[start : start + batch_size]])
            tensor = torch.from_numpy(batch).permute(0, 3, 1, 2).float().to(self.device)
            parts.append(self._model(tensor).cpu().numpy())
        return np.concatenate(parts)

    def text_features(self, texts: Sequence[str], batch_size: int = 64) -> np.ndarray:
        """Inception embeds no text."""
        raise NotApplicable("Inception embeds no text")
