"""Encoders of images and texts: open_clip models and clean-fid's Inception."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from importlib.metadata import version
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from cleanfid.downloads_helper import inception_url

from ..errors import NotApplicable, NotScored
from ..images.files import ahead
from ..images.image_set import Encoder
from .clip_encoder import ClipEncoder
from .clip_files import HUB, LOCAL, check_clip

CMMD = "ViT-L-14-336-quickgelu/openai"  # arXiv 2401.09603, section 4
INCEPTION = Path("/tmp/inception-2015-12-05.pt")  # where clean-fid looks for it


def weights_hash(model: torch.nn.Module) -> str:
    """A hash over the names and values of all weights."""
    digest = hashlib.sha256()
    for name, weight in sorted(model.state_dict().items()):
        digest.update(f"{name} {weight.dtype} {tuple(weight.shape)}".encode())
        digest.update(weight.detach().cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


class OpenClip(ClipEncoder):
    """An open_clip model: "ARCHITECTURE/WEIGHTS", "hf-hub:OWNER/NAME" or "local-dir:FOLDER"."""

    qualifier, unit_scale = "", True

    def __init__(self, wanted: str, device: str) -> None:
        import open_clip

        self.name, self.device = f"open_clip {wanted}", device
        check_clip(wanted)
        from_source = wanted.startswith((HUB, LOCAL))
        architecture, _, weights = (wanted, "", "") if from_source else wanted.partition("/")
        try:
            self._model, _, self._preprocess = open_clip.create_model_and_transforms(
                architecture, weights or None, device=device
            )
            self._tokenize = open_clip.get_tokenizer(architecture)
        except (OSError, RuntimeError, ValueError) as error:
            raise NotScored(f"{self.name} is not in the cache and could not be fetched: {error}") from None
        self._model.eval().requires_grad_(False)
        self.revision = weights_hash(self._model)  # a name may come to mean other weights


def clip_of(wanted: str, device: str) -> Encoder:
    """The CLIP model of a plan: the embedded model's judge, or an open_clip model."""
    if wanted != "judge":
        return OpenClip(wanted, device)
    from .judge import Judge

    return Judge(device)


class CleanFidInception:
    """clean-fid's own Inception, on images resized by clean-fid's own antialiased bicubic resize."""

    name, qualifier, unit_scale = "clean-fid Inception", "", False

    def __init__(self, device: str) -> None:
        from cleanfid import features
        from cleanfid.resize import build_resizer

        try:
            self._model = features.InceptionV3W(str(INCEPTION.parent)).to(device).eval()  # as its own "clean" mode
        except (OSError, RuntimeError) as error:
            raise NotScored(
                f"clean-fid's Inception weights can't be read from {INCEPTION}, nor fetched from {inception_url} "
                f"({error}): fetch that file on another machine and put it there"
            ) from None
        self.revision = f"{version('clean-fid')} {weights_hash(self._model)}"
        self._resize, self.device = build_resizer("clean"), device

    @torch.no_grad()
    def image_features(self, images: Sequence[np.ndarray], batch_size: int = 32) -> np.ndarray:
        """Pool features, float32 of shape (images, 2048)."""
        parts = []
        prepared = ahead(self._resize, images)
        while batch := list(islice(prepared, batch_size)):
            tensor = torch.from_numpy(np.stack(batch)).permute(0, 3, 1, 2).float().to(self.device)
            parts.append(self._model(tensor).cpu().numpy())
        return np.concatenate(parts)

    def text_features(self, texts: Sequence[str], batch_size: int = 64) -> np.ndarray:
        """Inception embeds no text."""
        raise NotApplicable("Inception embeds no text")

    def truncated(self, texts: Sequence[str]) -> int:
        """Inception reads no text."""
        return 0
