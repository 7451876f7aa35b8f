"""What of a store is used, by which runs, and removing what none uses. Reading it needs no torch."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ..storage.inventory import Item, inventory
from ..storage.locks import is_held
from ..storage.store import LOCK, NO_ENTRIES, Store
from .references import RUNS, Reference, References, references

PARTIAL = "partial"
MOMENT = 60.0  # seconds from a folder's last change until it counts as left
OF_ALL = ("original", "texts")  # of spectra: what every row is compared with


@dataclass(frozen=True)
class StoreUse:
    """A store, its runs, and which of them uses what.

    Attributes:
        items: all that is whole.
        unfinished: what is in the making or was left so: kind "partial".
        references: the runs.
    """

    items: tuple[Item, ...]
    unfinished: tuple[Item, ...]
    references: References

    def used_by(self, run: Reference) -> list[Item]:
        """What a run uses: what it names, what was made from that, and what trainings and spectra share."""
        own = [item for item in self.items if run.uses(item)]
        tensors = {key for item in own if item.kind == "training" for key in item.facts.get("tensors", ())}
        learned = {key for item in own if item.kind == "attack" for key in item.facts.get("learned", ())}
        is_training, is_attacked = self._is_begun(run, "training"), self._is_begun(run, "attack")
        spectra = [item for item in self.items if item.kind == "spectrum" and item.key in run.keys]
        shared = [
            item
            for item in self.items
            if (item.kind == "tensors" and (item.key in tensors or is_training))
            or (item.kind == "learned" and (item.key in learned or (is_attacked and not item.of)))
            or (item.kind == "spectrum" and item.key in OF_ALL and spectra)
        ]
        return [*own, *spectra, *shared]

    def _is_begun(self, run: Reference, kind: str) -> bool:
        """Whether a training of a run, or an attack, was begun and not ended: it needs what it was given again."""
        own = {f"{kind}-{key}" for of, key in run.entries if of == kind}
        return any(item.key in own for item in self.unfinished)

    @cached_property
    def shown_elsewhere(self) -> list[Item]:
        """What no known run uses and a folder shows: a run's that was moved; with what was made from it."""
        rest = [item for item in self.items if item.path not in self._used]
        keys = {item.key for item in rest if item.shown}
        return [item for item in rest if item.shown or (item.of and item.of <= keys)]

    @cached_property
    def unused(self) -> list[Item]:
        """What prune removes: what no run uses or shows, and what was left unfinished and no run goes on with."""
        shown = {item.path for item in self.shown_elsewhere}
        named = {f"{kind}-{key}" for run in self.references.runs for kind, key in run.entries}
        left = [item for item in self.unfinished if item.key not in named and not _is_held(item.path)]
        return [item for item in self.items if item.path not in self._used and item.path not in shown] + left

    @cached_property
    def _used(self) -> set[Path]:
        return {item.path for run in self.references.runs for item in self.used_by(run)}

    @property
    def damaged(self) -> list[Path]:
        """Files that are not as they were put; the next run that needs them makes them again."""
        return [file for item in self.items for file in item.damaged]


def look(store: Store) -> StoreUse:
    """Look through a store.

    Raises:
        BenchError: what a run uses can't be read.
    """
    return StoreUse(tuple(inventory(store)), tuple(_unfinished(store)), references(store))


def prune(store: Store) -> list[Item]:
    """Remove what no run uses or shows, and forget runs that are gone; what was removed.

    A run that begins meanwhile waits, and then finds what is left. What a process holds stays.

    Raises:
        BenchError: what a run uses can't be read.
    """
    with store.settled():
        use = look(store)
        for item in use.unused:
            _remove(store, item)
        for file in use.references.forgotten:
            file.unlink(missing_ok=True)
        return use.unused


def _remove(store: Store, item: Item) -> None:
    if item.kind not in NO_ENTRIES:
        store.drop(item.kind, item.key)
    elif item.path.is_dir():
        shutil.rmtree(item.path, ignore_errors=True)
    else:
        item.path.unlink(missing_ok=True)


def total(items: Iterable[Item]) -> int:
    """Bytes of all."""
    return sum(item.bytes for item in items)


def is_store(folder: Path) -> bool:
    """Whether a folder is a store that runs use."""
    return (folder / RUNS).is_dir()


def _unfinished(store: Store) -> Iterable[Item]:
    place = store.root / PARTIAL
    for folder in sorted(place.iterdir()) if place.is_dir() else ():
        sizes = [file.stat().st_size for file in folder.rglob("*") if file.is_file() and file.name != LOCK]
        yield Item(PARTIAL, folder.name, folder, files=len(sizes), bytes=sum(sizes))


def _is_held(folder: Path) -> bool:
    """Whether a process makes something in a folder, or is about to."""
    return time.time() - folder.stat().st_mtime < MOMENT or is_held(folder / LOCK)
