"""Pickled weights: never loaded; told apart by the words in them, so that the conversion of that very file is named."""

from __future__ import annotations

import pickletools
import shlex
import zipfile
from pathlib import Path

from ..weight_files import SUFFIX

PICKLES = (".bin", ".ckpt", ".pt", ".pth", ".pkl")
MOST_BYTES = 100_000_000  # of a pickle that is looked at: names alone, the numbers lie beside them


def conversion(path: Path) -> str:
    """A command that writes a pickle's tensors as safetensors, and no more: `weights_only` runs no code of the file."""
    words = _words(path)
    if "string_to_param" in words:  # a textual inversion as the web interfaces write it
        chosen = 'found = {"emb_params": found["string_to_param"]["*"]}'
    elif "state_dict" in words:
        chosen = 'found = found["state_dict"]'
    else:
        chosen = ""
    target = path.with_suffix(SUFFIX)
    lines = [
        "import torch",
        "from safetensors.torch import save_file",
        f'found = torch.load({str(path)!r}, map_location="cpu", weights_only=True)',
        *([chosen] if chosen else []),
        "save_file({name: value.detach().clone().contiguous() for name, value in found.items() "
        f"if torch.is_tensor(value)}}, {str(target)!r})",
    ]
    return f"python -c {shlex.quote('; '.join(lines))}"


def _words(path: Path) -> set[str]:
    """The texts in a pickle, read as data: nothing of it is run."""
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                inner = next(name for name in archive.namelist() if name.endswith("data.pkl"))
                content = archive.read(inner) if archive.getinfo(inner).file_size < MOST_BYTES else b""
        else:
            with path.open("rb") as file:
                content = file.read(MOST_BYTES)
        return {value for _, value, _ in pickletools.genops(content) if isinstance(value, str)}
    except (OSError, StopIteration, ValueError, IndexError, KeyError, zipfile.BadZipFile):
        return set()
