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
from PIL import Image
from safetensors.torch import load_file, save_file

from ..models.catalog import JUDGE
from ..models.clip_tokens import count_truncated
from ..storage.keys import files_hash

WEIGHTS = Path(__file__).parents[1] / "mini" / "weights"
TABLE_NAME = "token_embedding.weight"


class Judge:
    """A small open_clip model trained on the embedded world, with linear heads for concepts and styles."""

    name, qualifier, unit_scale = "embedded judge", "judge", True

    def __init__(self, device: str, weights: Path = WEIGHTS) -> None:
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

    @torch.no_grad()
    def image_features(self, images: Sequence[np.ndarray], batch_size: int = 64) -> np.ndarray:
        """Image embeddings before normalisation, float32 of shape (len(images), 128), from uint8 RGB arrays."""
        parts = [np.zeros((0, self._heads["concepts.weight"].shape[1]), np.float32)]
        for start in range(0, len(images), batch_size):
            batch = [self._preprocess(Image.fromarray(image)) for image in images[start : start + batch_size]]
            features = self._model.encode_image(torch.stack(batch).to(self.device))
            parts.append(features.float().cpu().numpy())
        return np.concatenate(parts)

    @torch.no_grad()
    def text_features(self, texts: Sequence[str], batch_size: int = 64) -> np.ndarray:
        """Text embeddings of length 1, float32 of shape (len(texts), 128)."""
        parts = []
        for start in range(0, len(texts), batch_size):
            tokens = self._tokenize(list(texts[start : start + batch_size])).to(self.device)
            parts.append(self._model.encode_text(tokens, normalize=True).float().cpu().numpy())
        return np.concatenate(parts)

    def truncated(self, texts: Sequence[str]) -> int:
        """How many texts are longer than the text encoder's 77 tokens."""
        return count_truncated(self._tokenize, texts)

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
