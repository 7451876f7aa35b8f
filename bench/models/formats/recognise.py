"""What a file or folder of somebody's weights is, told from names and headers: no torch, and nothing is loaded."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from ...errors import BenchError
from ...storage.keys import files_hash
from ..layouts import INDEX
from ..pipeline_folder import open_pipeline
from ..weight_files import FLOATS, SUFFIX, Tensor, read_header, read_headers, read_object, some, weight_files
from .pickles import PICKLES, conversion

Form = Literal["pipeline", "weights", "original", "lora", "embedding"]
TOLD: dict[Form, str] = {
    "pipeline": "a diffusers pipeline",
    "weights": "weights by diffusers' names",
    "original": "a checkpoint in Stable Diffusion's original layout",
    "lora": "a LoRA",
    "embedding": "a textual inversion",
}
LORA = ("lora_A", "lora_B", "lora_down", "lora_up", "lora.down", "lora.up", "_lora.", "lora_linear_layer")
OTHER_ADAPTERS = {
    "hada_w": "a LoHa",
    "lokr_w": "a LoKr",
    "lora_mid": "a LoCon with a middle matrix",
    "dora_scale": "a DoRA",
    "lora_magnitude_vector": "a DoRA",
    "oft_": "an OFT adapter",
}
ORIGINAL = ("model.diffusion_model.", "cond_stage_model.", "first_stage_model.")
NETWORK = ("conv_in.", "conv_out.", "conv_norm_out.", "time_embedding.", "down_blocks.", "mid_block.", "up_blocks.")
TEXT = ("text_model.", "embeddings.", "encoder.layers.", "final_layer_norm.")
PREFIXES = ("unet.", "text_encoder.", "vae.")
BASES = {"UNet2DConditionModel": "unet", "CLIPTextModel": "text_encoder"}
EXPECTED = (
    "A row of your own is a diffusers pipeline, a UNet or a text encoder as folder or file (a part of their tensors "
    "will do), a .safetensors in Stable Diffusion's original layout, a LoRA, a patch of a run, or a textual inversion."
)


@dataclass(frozen=True)
class OwnWeights:
    """Somebody's weights, found and recognised.

    Attributes:
        path: as it was given.
        form: what it is.
        root: the folder in which its files lie.
        files: all that is loaded, relative to it; the safetensors file or its index first.
        part: of "weights" of one part: unet or text_encoder; "" where names say it.
        content: a hash of the files' names and contents.
    """

    path: Path
    form: Form
    root: Path
    files: tuple[str, ...]
    part: str
    content: str

    @property
    def told(self) -> str:
        """What it is, in words."""
        part = {"unet": "a UNet", "text_encoder": "a text encoder", "": TOLD[self.form]}
        return part[self.part] if self.form == "weights" else TOLD[self.form]


@cache
def recognise(path: Path) -> OwnWeights:
    """Find out what a path holds.

    Raises:
        BenchError: there is nothing, it is pickled, damaged, or of no form that can be a row.
    """
    try:
        form, root, files, part = _in_folder(path) if path.is_dir() else _in_file(path)
        return OwnWeights(path, form, root, files, part, files_hash(root, files))
    except OSError as error:
        raise BenchError(f"{path} can't be read: {error.strerror}.") from None
    except BenchError as error:
        text = str(error)
        raise BenchError(text if text.startswith(str(path)) else f"{path}: {text}") from None


def _in_file(path: Path) -> tuple[Form, Path, tuple[str, ...], str]:
    if path.is_symlink() and not path.exists():
        raise BenchError(f"a link to {path.readlink()}, which is not there.")
    if not path.exists():
        raise BenchError(f"there is no such file or folder. {EXPECTED}")
    if path.suffix.lower() in PICKLES:
        raise BenchError(
            f"pickled weights can run any code and are never loaded. This writes the tensors of this file as "
            f"safetensors:\n{conversion(path)}"
        )
    if path.suffix != SUFFIX:
        raise BenchError(f"no {SUFFIX} file. {EXPECTED}")
    form, part = _form(read_header(path))
    return form, path.parent, (path.name,), part


def _in_folder(path: Path) -> tuple[Form, Path, tuple[str, ...], str]:
    names = sorted(entry.name for entry in path.iterdir() if entry.is_file())
    if INDEX in names:
        return "pipeline", path, open_pipeline(path).files, ""
    if "adapter_config.json" in names and "adapter_model.safetensors" in names:
        form, part = _form(read_header(path / "adapter_model.safetensors"))
        return form, path, ("adapter_model.safetensors", "adapter_config.json"), part
    part = ""
    if "config.json" in names:
        config = read_object(path / "config.json")
        kind = config.get("_class_name") or next(iter(config.get("architectures") or ()), None)
        if kind not in BASES:
            raise BenchError(f"config.json is a {kind or 'file without a class'}'s. {EXPECTED}")
        part = BASES[kind]
        _, files = weight_files(names, "model" if part == "text_encoder" else "diffusion_pytorch_model")
        if files:
            tensors, loaded = read_headers(path, files)
            form, _ = _form(tensors)
            return form, path, tuple(loaded), part
    single = [name for name in names if name.endswith(SUFFIX)]
    if len(single) == 1:
        form, found = _form(read_header(path / single[0]))
        return form, path, (single[0],), part or found
    if pickled := next((name for name in names if Path(name).suffix in PICKLES), None):
        return _in_file(path / pickled)
    if single:
        raise BenchError(f"it holds {some(single)}: which one is meant? Give the file's path.")
    raise BenchError(f"it holds {some(names) or 'nothing'}. {EXPECTED}")


def _form(tensors: dict[str, Tensor]) -> tuple[Form, str]:
    """What tensors of these names are, and of which one part.

    Raises:
        BenchError: something that can't be a row.
    """
    names = list(tensors)
    if not names:
        raise BenchError("the file holds no tensor.")
    for mark, kind in OTHER_ADAPTERS.items():
        if found := next((name for name in names if mark in name), None):
            raise BenchError(f"{kind} ({found}), which is not supported: merge it into its model, and give that.")
    if _any(names, LORA, inside=True):
        return "lora", ""
    quantised = sorted({t.dtype for name, t in tensors.items() if t.dtype not in FLOATS and "position_ids" not in name})
    if any(name.startswith("conditioner.") for name in names):
        raise BenchError("a checkpoint of Stable Diffusion XL, which is not supported as a row.")
    if _any(names, ORIGINAL):
        return "original", ""
    if quantised:
        raise BenchError(f"its weights are {', '.join(quantised)}: quantised. Give {', '.join(FLOATS[1:])}.")
    if _any(names, PREFIXES):
        return "weights", ""
    if _any(names, NETWORK):
        return "weights", "unet"
    if _any(names, TEXT):
        return "weights", "text_encoder"
    if len(names) == 1 and len(tensors[names[0]].shape) in (1, 2):
        return "embedding", ""
    raise BenchError(f"it holds {some(sorted(names))}, which no form has. {EXPECTED}")


def _any(names: Collection[str], marks: tuple[str, ...], inside: bool = False) -> bool:
    return any(mark in name if inside else name.startswith(mark) for name in names for mark in marks)
