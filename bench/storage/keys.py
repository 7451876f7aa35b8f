"""Keys and hashes of content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any


def content_key(**parts: Any) -> str:
    """A SHA-256 over everything that a result depends on: what JSON can hold and nothing else.

    Raises:
        TypeError: a part is no JSON value, so that its text might not be all of it.

    >>> content_key(stage="erase", steps=3) == content_key(steps=3, stage="erase")
    True
    """
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def file_hash(path: Path) -> str:
    """A hash over a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def folder_hash(folder: Path) -> str:
    """A hash over the names and contents of all files below `folder` but hidden ones."""
    files = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return files_hash(folder, [file.as_posix() for file in files if not any(p.startswith(".") for p in file.parts)])


def files_hash(folder: Path, names: Iterable[str]) -> str:
    """A hash over the names and contents of some of a folder's files; the names are relative, with slashes."""
    digest = hashlib.sha256()
    for name in sorted(names, key=lambda name: name.split("/")):
        digest.update(name.encode())
        with (folder / name).open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def dotted(parts: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Inner mappings as dotted keys.

    >>> dotted({"a": 1, "b": {"c": 2, "d": {"e": 3}}})
    {'a': 1, 'b.c': 2, 'b.d.e': 3}
    """
    found: dict[str, Any] = {}
    for key, value in parts.items():
        found |= dotted(value, f"{above}{key}.") if isinstance(value, Mapping) else {f"{above}{key}": value}
    return found
