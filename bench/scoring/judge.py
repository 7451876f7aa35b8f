"""The embedded model's judge: concept detector, CLIP-score model and features for FID and KID."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import open_clip
import torch
from safetensors.torch import load_file, save_file

from ..models.catalog import JUDGE, MINI_WEIGHTS
from ..storage.keys import files_hash
from .clip_encoder import ClipEncoder

TABLE_NAME = "token_embedding.weight"


class Judge(ClipEncoder):
    """A small open_clip model trained on the embedded world, with linear heads for concepts and styles."""

    name, qualifier, unit_scale = "embedded judge", "judge", True

    def __init__(self, device: str, weights: Path = MINI_WEIGHTS) -> None:
        self.device = device
        self.revision = files_hash(weights / "judge", JUDGE)
        labels = json.loads((weights / "judge" / "labels.json").read_text(encoding="utf-8"))
        self.concepts: list[str] = labels["concepts"]
        self.styles: list[str] = labels["styles"]
        self._heads = {k: v.float().to(device) for k, v in load_file(weights / "judge" / "heads.safetensors").items()}
        with tempfile.TemporaryDirectory() as folder:
            _with_shared_table(weights, Path(folder))
            model, self._preprocess = open_clip.create_model_from_pretrained(f"local-dir:{folder}", device=device)
        self._model = model.float().eval().requires_grad_(False)
        self._tokenize = open_clip.tokenizer.SimpleTokenizer()

    def image_features(self, images: Sequence[np.ndarray], batch_size: int = 64) -> np.ndarray:
        """Image embeddings before normalisation, float32 of shape (images, 128); of no images too."""
        if not len(images):
            return np.zeros((0, self._heads["concepts.weight"].shape[1]), np.float32)
        return super().image_features(images, batch_size)

    def concept_probabilities(self, features: np.ndarray) -> np.ndarray:
        """The probability that an image shows each of `concepts`, of shape (images, concepts)."""
        return torch.sigmoid(self._logits("concepts", features)).cpu().numpy()

    def style_probabilities(self, features: np.ndarray) -> np.ndarray:
        """The probability of each of `styles` ("plain" first), of shape (images, styles)."""
        return torch.softmax(self._logits("styles", features), -1).cpu().numpy()

    def _logits(self, head: str, features: np.ndarray) -> torch.Tensor:
        values = torch.from_numpy(features).to(self.device)
        return values @ self._heads[f"{head}.weight"].T + self._heads[f"{head}.bias"]


def _with_shared_table(weights: Path, folder: Path) -> None:
    """Write the open_clip folder in full: the token table is kept once, in the pipeline's text encoder."""
    encoder = load_file(weights / "pipeline" / "text_encoder" / "model.safetensors")
    table = next(value for name, value in encoder.items() if name.endswith(TABLE_NAME))
    state = load_file(weights / "judge" / "open_clip_model.safetensors")
    save_file({**state, TABLE_NAME: table}, folder / "open_clip_model.safetensors")
    shutil.copy(weights / "judge" / "open_clip_config.json", folder)
