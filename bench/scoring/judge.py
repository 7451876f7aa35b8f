"""The embedded model's judge: concept detector, CLIP-score model and features for FID and KID."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import open_clip
from safetensors.torch import load_file, save_file

from ..models.catalog import JUDGE, MINI_WEIGHTS
from ..storage.keys import files_hash
from .clip_encoder import ClipEncoder
from .label_heads import LabelHeads

TABLE_NAME = "token_embedding.weight"


class Judge(LabelHeads, ClipEncoder):
    """A small open_clip model trained on the embedded world, with linear heads for concepts and styles."""

    name, qualifier, unit_scale = "embedded judge", "judge", True

    def __init__(self, device: str, weights: Path = MINI_WEIGHTS) -> None:
        super().__init__(weights / "judge", device)
        self.revision = files_hash(weights / "judge", JUDGE)
        with tempfile.TemporaryDirectory() as folder:
            _with_shared_table(weights, Path(folder))
            model, self._preprocess = open_clip.create_model_from_pretrained(f"local-dir:{folder}", device=device)
        self._model = model.float().eval().requires_grad_(False)
        self._tokenize = open_clip.tokenizer.SimpleTokenizer()

    def image_features(self, images: Sequence[np.ndarray], batch_size: int = 64) -> np.ndarray:
        """Image embeddings before normalisation, float32 of shape (images, width); of no images too."""
        if not len(images):
            return np.zeros((0, self.width), np.float32)
        return super().image_features(images, batch_size)


def _with_shared_table(weights: Path, folder: Path) -> None:
    """Write the open_clip folder in full: the token table is kept once, in the pipeline's text encoder."""
    encoder = load_file(weights / "pipeline" / "text_encoder" / "model.safetensors")
    table = next(value for name, value in encoder.items() if name.endswith(TABLE_NAME))
    state = load_file(weights / "judge" / "open_clip_model.safetensors")
    save_file({**state, TABLE_NAME: table}, folder / "open_clip_model.safetensors")
    shutil.copy(weights / "judge" / "open_clip_config.json", folder)
