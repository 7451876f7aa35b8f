"""Where a model comes from: resolving its name needs no torch, so that a wrong name fails at once."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from .catalog import HUB_MODELS, MODELS, RANDOM_MODEL
from .errors import BenchError, unknown
from .store import folder_hash

if TYPE_CHECKING:
    from .models import TextToImage

SINGLE_FILES = (".ckpt", ".pt", ".pth", ".bin", ".safetensors")
CONVERT = (
    "Convert a file that you trust, on a machine that may be lost: "
    "StableDiffusionPipeline.from_single_file(FILE).save_pretrained(FOLDER, safe_serialization=True), or "
    "from_pretrained(FOLDER) in its place for a folder of pickled weights."
)
MINI_WEIGHTS = Path(__file__).parent / "mini" / "weights"


@dataclass(frozen=True)
class ModelSource:
    """A model that was asked for by name.

    Attributes:
        name: as the user gave it.
        family: "mini" for the embedded model, "sd" for all others; methods have presets by family.
        source: a folder, a hub id, or the random model's name.
        hub_revision: a hub commit or branch; None for a folder.
        revision: a content hash or hub id and revision; part of every cache key.
    """

    name: str
    family: str
    source: str
    hub_revision: str | None
    revision: str

    @property
    def image_size(self) -> int:
        """Height and width of its images in pixels; for a model that lies on the hub, Stable Diffusion v1's 512."""
        folder = Path(self.source)
        try:
            unet, vae = (json.loads((folder / part / "config.json").read_text("utf-8")) for part in ("unet", "vae"))
        except (OSError, ValueError):
            return 512
        return int(unet["sample_size"]) * 2 ** (len(vae["block_out_channels"]) - 1)

    def load(self, device: str) -> TextToImage:
        """Read the weights in float32."""
        from .models import load

        return load(self, device)


@cache
def find_model(name: str) -> ModelSource:
    """Resolve "mini", a named hub model, a local diffusers folder, or a hub id ("owner/name[@revision]").

    Hashing a folder of gigabytes takes long, so that each name is resolved once in a process.

    Raises:
        BenchError: there is no such model, or the folder is no pipeline.
    """
    folder = Path(name)
    if name == "mini":
        # The judge is part of the embedded model: the hash covers both.
        return ModelSource(name, "mini", str(MINI_WEIGHTS / "pipeline"), None, folder_hash(MINI_WEIGHTS))
    if name == RANDOM_MODEL:
        return ModelSource(name, "sd", name, None, "random weights, seed 0")
    if folder.is_file() or folder.suffix in SINGLE_FILES:
        raise BenchError(
            f"--model {name}: a single file, where a folder in diffusers' layout is needed; a .ckpt, .pt or .bin file "
            f"is a pickle besides, which can run any code and is never loaded. {CONVERT}"
        )
    if folder.is_dir():
        check_pipeline_folder(folder)
        return ModelSource(name, "sd", name, None, folder_hash(folder))
    if name in HUB_MODELS:
        hub_id, revision = HUB_MODELS[name]
    elif name.count("/") == 1 and not name.startswith((".", "/", "~")):
        hub_id, _, wanted = name.partition("@")
        revision = wanted or "main"
    elif "/" in name:
        raise BenchError(f"--model {name}: there is no such folder.")
    else:
        raise unknown("model", name, MODELS, "bench list models")
    return ModelSource(name, "sd", hub_id, revision, f"{hub_id}@{revision}")


def check_pipeline_folder(folder: Path) -> None:
    """Raise unless `folder` holds a Stable Diffusion pipeline in diffusers' layout."""
    needed = ["model_index.json", "unet", "vae", "text_encoder", "tokenizer", "scheduler"]
    missing = [part for part in needed if not (folder / part).exists()]
    if missing:
        raise BenchError(
            f"--model {folder}: not a diffusers pipeline, {', '.join(missing)} missing. Expected a folder as "
            f"StableDiffusionPipeline.save_pretrained writes it. {CONVERT}"
        )
    for part in ("unet", "vae", "text_encoder"):
        if not any((folder / part).glob("*.safetensors")):
            held = ", ".join(sorted(file.name for file in (folder / part).iterdir()))
            raise BenchError(
                f"--model {folder}: {part} has no .safetensors file (it holds {held}). Pickled weights (.bin, .pt, "
                f".ckpt) can run any code and are never loaded. {CONVERT}"
            )
