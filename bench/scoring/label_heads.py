"""Linear heads of the embedded model's judges: from an image's features to the concepts and the style that it shows."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file


class LabelHeads:
    """Heads for concepts and styles in a judge's folder: heads.safetensors and labels.json.

    Attributes:
        concepts: what it knows, in the order of `concept_probabilities`.
        styles: likewise of `style_probabilities`; "plain" is the first.
        width: of the features that it reads.
    """

    def __init__(self, folder: Path, device: str) -> None:
        labels = json.loads((folder / "labels.json").read_text(encoding="utf-8"))
        self.concepts: list[str] = labels["concepts"]
        self.styles: list[str] = labels["styles"]
        self._heads = {k: v.float().to(device) for k, v in load_file(folder / "heads.safetensors").items()}
        self.width = self._heads["concepts.weight"].shape[1]
        self.device = device

    def concept_probabilities(self, features: np.ndarray) -> np.ndarray:
        """The probability that an image shows each of `concepts`, of shape (images, concepts)."""
        return torch.sigmoid(self._logits("concepts", features)).cpu().numpy()

    def style_probabilities(self, features: np.ndarray) -> np.ndarray:
        """The probability of each of `styles`, of shape (images, styles)."""
        return torch.softmax(self._logits("styles", features), -1).cpu().numpy()

    def _logits(self, head: str, features: np.ndarray) -> torch.Tensor:
        values = torch.from_numpy(features).to(self.device)
        return values @ self._heads[f"{head}.weight"].T + self._heads[f"{head}.bias"]
