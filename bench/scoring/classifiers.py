"""Classifiers that papers judge erasures with: ResNet-50 of ImageNet, and UnlearnCanvas's of objects and styles.

Their features are the scores of all classes, so that these are computed once an image and kept.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file

from ..errors import NotApplicable, NotScored
from ..images.files import ahead
from ..storage.keys import files_hash

CANVAS = Path("~/.cache/erasebench/unlearncanvas").expanduser()
AUTHORS = "https://github.com/OPTML-Group/UnlearnCanvas"
CANVAS_SIZE = 224  # height and width that UnlearnCanvas's classifiers see


class Classifier:
    """A network that gives a score for each of its classes.

    Attributes:
        name: with its weights, as notes print it.
        revision: of the weights; part of every key.
        labels: its classes, in the order of its scores.
    """

    qualifier, unit_scale = "", False
    name: str
    revision: str
    labels: tuple[str, ...]
    device: str
    _model: torch.nn.Module
    _prepared: Callable[[np.ndarray], torch.Tensor]

    @torch.no_grad()
    def image_features(self, images: Sequence[np.ndarray], batch_size: int = 32) -> np.ndarray:
        """Scores before the softmax, float32 of shape (images, classes), from uint8 RGB arrays; of no images too."""
        parts = [np.zeros((0, len(self.labels)), np.float32)]
        prepared = ahead(self._prepared, images)
        while batch := list(islice(prepared, batch_size)):
            parts.append(self._model(torch.stack(batch).to(self.device)).float().cpu().numpy())
        return np.concatenate(parts)

    def text_features(self, texts: Sequence[str], batch_size: int = 64) -> np.ndarray:
        """It embeds no text."""
        raise NotApplicable(f"{self.name} embeds no text")

    def truncated(self, texts: Sequence[str]) -> int:
        """It reads no text."""
        return 0


class ImageNetClassifier(Classifier):
    """torchvision's ResNet-50 with its default weights.

    Raises:
        NotScored: the weights, which torchvision fetches, can't be had.
    """

    def __init__(self, device: str) -> None:
        from torchvision.models import ResNet50_Weights, resnet50

        weights = ResNet50_Weights.DEFAULT
        place = Path(torch.hub.get_dir()) / "checkpoints" / weights.url.rpartition("/")[2]
        try:
            self._model = resnet50(weights=weights).to(device).eval()
        except (OSError, RuntimeError) as error:
            raise NotScored(
                f"ResNet-50's weights can't be read from {place}, nor fetched from {weights.url} ({error}): fetch that "
                "file on another machine and put it there"
            ) from None
        self.name, self.revision, self.device = f"torchvision ResNet-50 {place.stem}", place.stem, device
        self.labels = tuple(weights.meta["categories"])
        transform = weights.transforms()
        self._prepared = lambda image: transform(Image.fromarray(image))


def canvas_files(look: str) -> tuple[str, str]:
    """The names of a classifier's weights and of the file of labels; `look` is "canvas objects" or "canvas styles"."""
    return f"{look.removeprefix('canvas ')}.safetensors", "labels.json"


def canvas_revision(look: str) -> str:
    """A hash over a classifier's files; "" where they are not there."""
    files = canvas_files(look)
    return files_hash(CANVAS, files) if all((CANVAS / name).is_file() for name in files) else ""


class CanvasClassifier(Classifier):
    """UnlearnCanvas's ViT-L/16 of objects or of styles (arXiv 2402.11846), from safetensors in CANVAS.

    Args:
        look: "canvas objects" or "canvas styles".
        device: "cpu", "cuda" or "cuda:N".

    Raises:
        NotScored: its files are not there, or are not its.
    """

    def __init__(self, look: str, device: str) -> None:
        import timm
        from torchvision import transforms

        what, files = look.removeprefix("canvas "), canvas_files(look)
        if missing := [name for name in files if not (CANVAS / name).is_file()]:
            raise NotScored(
                f"UnlearnCanvas's classifier of {what} needs {CANVAS / missing[0]}. Fetch the checkpoint that "
                f"{AUTHORS} links to and convert it: safetensors.torch.save_file("
                "torch.load(FILE, weights_only=True)['model_state_dict'], "
                f'\'{CANVAS / files[0]}\'). labels.json is {{"styles": theme_available, "objects": class_available}}, '
                "the lists of its evaluation/constants/const.py"
            )
        try:
            labels: dict[str, Any] = json.loads((CANVAS / "labels.json").read_text(encoding="utf-8"))
            self.labels = tuple(str(label).replace("_", " ").lower() for label in labels[what])
            self._model = timm.create_model("vit_large_patch16_224", num_classes=len(self.labels))
            self._model.load_state_dict(load_file(CANVAS / files[0]))
        except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
            raise NotScored(f"UnlearnCanvas's classifier of {what} in {CANVAS} can't be read: {error}") from None
        self._model.float().eval().requires_grad_(False).to(device)
        self.name, self.device = f"UnlearnCanvas’s ViT-L/16 of {what}", device
        self.revision = files_hash(CANVAS, files)
        transform = transforms.Compose(
            [transforms.Resize((CANVAS_SIZE, CANVAS_SIZE)), transforms.ToTensor(), transforms.Normalize([0.5], [0.5])]
        )
        self._prepared = lambda image: transform(Image.fromarray(image))
