"""Arrays in sealed files, each under the key of what it was computed from."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .files import is_whole, write_sealed


def save_array(path: Path, array: np.ndarray, key: str) -> None:
    """Store an array under a key, with a checksum."""
    from safetensors.numpy import save_file

    content = {"array": np.ascontiguousarray(array)}
    write_sealed(path, lambda temporary, metadata: save_file(content, temporary, metadata), key=key)


def load_array(path: Path, key: str) -> np.ndarray | None:
    """The array that was stored under this key; None where there is none or another's, or a damaged one."""
    from safetensors import safe_open

    if not is_whole(path):
        return None
    with safe_open(path, framework="numpy") as file:
        found: np.ndarray | None = file.get_tensor("array") if (file.metadata() or {}).get("key") == key else None
        return found
