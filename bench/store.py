"""Files that are whole or absent, and keys made of content."""

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np


def content_key(**parts: Any) -> str:
    """A key of 16 hex digits over everything that a result depends on.

    >>> content_key(stage="erase", steps=3) == content_key(steps=3, stage="erase")
    True
    """
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def file_hash(path: Path) -> str:
    """A hash over a file's content."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def folder_hash(folder: Path) -> str:
    """A hash over the names and contents of all files below `folder`."""
    digest = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(file.relative_to(folder).as_posix().encode())
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:16]


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Call `write` on a temporary neighbour of `path`, then move it into place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        write(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def write_json(path: Path, value: Any) -> None:
    write_text(path, json.dumps(value, indent=1, sort_keys=True) + "\n")


def read_json(path: Path) -> dict[str, Any] | None:
    """The stored object, or None where there is none or it is torn."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def save_array(path: Path, array: np.ndarray, key: str) -> None:
    """Store an array under a key."""
    from safetensors.numpy import save_file

    write_atomically(path, lambda temporary: save_file({"array": np.ascontiguousarray(array)}, temporary, {"key": key}))


def load_array(path: Path, key: str) -> np.ndarray | None:
    """The array that was stored under this key; None where there is none, another's, or a torn one."""
    from safetensors import SafetensorError, safe_open

    if not path.exists():
        return None
    try:
        with safe_open(path, framework="numpy") as file:
            found: np.ndarray | None = file.get_tensor("array") if (file.metadata() or {}).get("key") == key else None
            return found
    except (SafetensorError, OSError):
        return None
