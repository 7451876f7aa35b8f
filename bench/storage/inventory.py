"""What a store holds: every entry with its size, what it was made from, and whether its files are as they were put."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .store import ENTRY, Store, is_as_put


@dataclass(frozen=True)
class Item:
    """One entry, or what trainings and spectra keep beside the entries.

    Attributes:
        kind: such as "images".
        key: within its kind.
        path: its folder, or its file.
        of: keys of what it was made from: it is kept as long as they are.
        facts: about it.
        files: how many it has.
        bytes: of all of them.
        shown: whether one of them has another name, such as in a run's folder.
        damaged: those that are not as they were put.
    """

    kind: str
    key: str
    path: Path
    of: frozenset[str] = frozenset()
    facts: Mapping[str, Any] = field(default_factory=dict)
    files: int = 1
    bytes: int = 0
    shown: bool = False
    damaged: tuple[Path, ...] = ()


def inventory(store: Store) -> Iterator[Item]:
    """Everything in a store that is whole, kind by kind; contents are read only of files whose time has changed."""
    for kind, key, folder in store.entries():
        yield _entry(kind, key, folder)
    for file in _within(store.root / "tensors"):
        yield Item("tensors", file.stem, file, bytes=file.stat().st_size)
    for folder in _within(store.root / "spectrum"):
        sizes = [file.stat().st_size for file in _within(folder)]
        yield Item("spectrum", folder.name, folder, files=len(sizes), bytes=sum(sizes))


def _entry(kind: str, key: str, folder: Path) -> Item:
    """An entry by its own description, which is not checked against its checksum: that takes longer than all else."""
    try:
        described = json.loads((folder / ENTRY).read_bytes())
        files: Mapping[str, Mapping[str, Any]] = described["files"]
        of, facts = frozenset(described["of"]), described["facts"]
    except (OSError, ValueError, TypeError, KeyError):
        return Item(kind, key, folder, damaged=(folder / ENTRY,))
    broken = tuple(folder / name for name, seen in files.items() if not is_as_put(f"{folder}/{name}", seen))
    first = next((name for name in files), ENTRY)
    size = sum(seen["bytes"] for seen in files.values())
    shown = not broken and (folder / first).stat().st_nlink > 1
    return Item(kind, key, folder, of, facts, len(files), size, shown, broken)


def _within(folder: Path) -> list[Path]:
    """What lies in a folder, but temporary files; nothing where there is none."""
    return sorted(path for path in folder.glob("*") if not path.name.startswith(".")) if folder.is_dir() else []
