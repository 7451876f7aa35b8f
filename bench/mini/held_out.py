"""What the package holds of the embedded model's world, so that nothing has to be rendered: captions, things, features.

`bench mini train` writes it beside the weights (`develop/mini/world_data.py`).
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np

WORLD_DATA = Path(__file__).parent / "weights" / "world"


@cache
def captions() -> tuple[str, ...]:
    """Captions of held-out scenes, without nudity, in random order: what models are asked to draw."""
    return _lines("captions.txt")


@cache
def real_captions() -> tuple[str, ...]:
    """Captions of the real images: renders of further held-out scenes."""
    return _lines("real.txt")


@cache
def things() -> dict[str, str]:
    """Every thing of the world by name, with its article: {"airplane": "an airplane", …}. Styles are no things."""
    found: dict[str, str] = json.loads((WORLD_DATA / "things.json").read_text(encoding="utf-8"))
    return found


def real_features() -> tuple[np.ndarray, str]:
    """The real images as the judge saw them, float32 of shape (images, width), and that judge's revision."""
    from safetensors import safe_open

    with safe_open(WORLD_DATA / "real.safetensors", framework="numpy") as file:
        return file.get_tensor("judge"), (file.metadata() or {})["revision"]


def _lines(name: str) -> tuple[str, ...]:
    return tuple((WORLD_DATA / name).read_text(encoding="utf-8").splitlines())
