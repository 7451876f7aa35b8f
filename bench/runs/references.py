"""Which runs a store's entries belong to: each run writes down, in its folder and in the store, what it is made of."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from ..errors import BenchError
from ..storage.files import read_json, write_json
from ..storage.inventory import Item
from ..storage.keys import content_key
from ..storage.locks import is_held
from ..storage.store import Store
from .folder import RunFolder

RUNS = "runs"  # a store's folder
BESIDE = ("attack", "purified", "dominance")  # kinds of entries that no plan's scores need


@dataclass(frozen=True)
class Reference:
    """A run and what it is made of.

    Attributes:
        folder: the run's.
        entries: (kind, key) of what it names.
        keeps: which of its images it keeps, now that they are scored; "all" until they are.
    """

    folder: Path
    entries: frozenset[tuple[str, str]]
    keeps: str = "all"

    @cached_property
    def keys(self) -> frozenset[str]:
        """The keys that it names, of any kind."""
        return frozenset(key for _, key in self.entries)

    def uses(self, item: Item) -> bool:
        """Whether the run names an entry, or all that the entry was made from."""
        return (item.kind, item.key) in self.entries or (bool(item.of) and item.of <= self.keys)


@dataclass(frozen=True)
class References:
    """The runs of a store.

    Attributes:
        runs: those that are there.
        gone: where there were runs that are deleted, moved away, or use another store now.
        forgotten: the store's files that name those.
    """

    runs: list[Reference] = field(default_factory=list)
    gone: list[Path] = field(default_factory=list)
    forgotten: list[Path] = field(default_factory=list)


def refer(folder: RunFolder, store: Store, entries: Iterable[tuple[str, str]], keeps: str = "all") -> None:
    """Write down what a run is made of: kept from now on, and what is computed from it.

    The run's own list is in its folder; the store has its place, as a path and as one from the store, so that both can
    be moved together.

    Args:
        folder: the run's.
        store: that has the entries, or will.
        entries: their kinds and keys.
        keeps: which of its images the run needs from now on: "all", "sample" or "none".
    """
    root = folder.root.absolute()
    with store.settled():
        named = list(dict.fromkeys(entries))
        used = {"store": os.path.relpath(store.root, root), "entries": named, "keeps": keeps}
        write_json(folder.used, used)
        place = {"folder": str(root), "from_store": os.path.relpath(root, store.root)}
        write_json(store.root / RUNS / f"{content_key(folder=str(root))}.json", place)


def entries_beside(folder: RunFolder) -> list[tuple[str, str]]:
    """Kind and key of what was done to a finished run, or is being done: attacks, purified images."""
    stored = read_json(folder.used) or {"entries": []}
    return [(kind, key) for kind, key in stored["entries"] if kind in BESIDE]


def references(store: Store) -> References:
    """The runs that a store knows.

    Raises:
        BenchError: what a run uses can't be read.
    """
    found = References()
    for file in sorted((store.root / RUNS).glob("*.json")):
        stored = read_json(file)
        if stored is None:
            raise BenchError(
                f"{file} says where a run is, and is damaged. Delete it: the next `bench run` there writes it."
            )
        places = dict.fromkeys([Path(stored["folder"]), Path(os.path.normpath(store.root / stored["from_store"]))])
        known = [run.folder.absolute() for run in found.runs]
        there = [place for place in places if _belongs(RunFolder(place), store)]
        if not there:
            found.gone.append(Path(stored["folder"]))
            found.forgotten.append(file)
        elif there[0].absolute() not in known:
            found.runs.append(_reference(RunFolder(there[0])))
    return found


def status_of(folder: RunFolder) -> str:
    """How far a run is: the status that it wrote, or "interrupted" where no process works in it any more."""
    status = (read_json(folder.status) or {}).get("status", "can't be read")
    return "interrupted" if status == "running" and not is_held(folder.lock) else str(status)


def _belongs(folder: RunFolder, store: Store) -> bool:
    """Whether a run is there and uses this store, or one that is not where it was."""
    if not folder.used.exists():
        return False
    return read_json(folder.used) is None or not folder.store.exists() or folder.store.samefile(store.root)


def _reference(folder: RunFolder) -> Reference:
    stored = read_json(folder.used)
    if stored is None:
        raise BenchError(
            f"{folder.used} says what the run uses, and is damaged. The same `bench run` writes it anew; or delete "
            f"{folder.root}."
        )
    return Reference(folder.root, frozenset((kind, key) for kind, key in stored["entries"]), stored["keeps"])
