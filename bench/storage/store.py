"""The store: finished results, each put once under the key of what it was made from, shared by runs and processes."""

from __future__ import annotations

import errno
import os
import platform
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import Timeout

from .files import damaged, is_there, now, read_json, write_json
from .keys import file_hash
from .locks import held

ENTRY, LOCK = "entry.json", ".lock"
PREFIX = 3  # hex digits of a key that name its folder: 4,096 of them, so that a million entries are 250 in each
NO_ENTRIES = ("partial", "runs", "tensors", "spectrum")  # folders beside the kinds
TAKEN = (errno.EEXIST, errno.ENOTEMPTY)


class Busy(Exception):
    """Another process makes this entry."""


@dataclass(frozen=True)
class Entry:
    """A finished result: a folder of files that never change, and facts about them.

    Attributes:
        folder: where it lies.
        facts: what is known of it.
        inodes: its files' names with their inodes, by which a link to them is known.
        removed: names of files that were put and taken away since, as nothing needs them.
    """

    folder: Path
    facts: Mapping[str, Any]
    inodes: Mapping[str, int]
    removed: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Its files' names."""
        return tuple(self.inodes)

    def file(self, name: str) -> Path:
        """One of its files."""
        return self.folder / name


class Store:
    """Entries by kind and key below `root`; the folder may be shared by processes and, where renaming is atomic, hosts.

    An entry is made in a folder of its own, which an interruption leaves as it is, and gets its place by one rename:
    it is there as a whole or not at all, and of two that are made at once the first stays.

    Attributes:
        root: the store's folder.
        broken: kinds and keys of the entries that were found to be other than they were put.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.broken: set[tuple[str, str]] = set()
        self._known: dict[tuple[str, str], Entry] = {}
        self._own = ""  # what names the folders in which this process makes entries, where it shares none

    def find(self, kind: str, key: str) -> Entry | None:
        """The entry, or None. A file that is not as it was put is said and taken away; the others wait to be used.

        Sizes and times of change are compared with those of the entry, and contents where one of these differs.
        """
        if (kind, key) in self._known:
            return self._known[kind, key]
        folder = self._place(kind, key)
        if not is_there(folder):  # most often so in a new run: it asks for images under the key of every batch size
            return None
        stored = read_json(folder / ENTRY)
        if stored is None:
            self._take_back(kind, key, ())
            return None
        inodes = {name: is_as_put(f"{folder}/{name}", seen) for name, seen in stored["files"].items()}
        broken = [name for name, inode in inodes.items() if not inode]
        if broken:
            self.broken.add((kind, key))
            for name in broken:
                damaged(folder / name)
            self._take_back(kind, key, [name for name in stored["files"] if name not in broken])
            return None
        found = Entry(folder, stored["facts"], inodes, tuple(stored.get("removed", ())))
        self._known[kind, key] = found
        return found

    def partial(self, kind: str, key: str) -> Path:
        """Where an entry is made; what an interrupted process left there is still there."""
        return self.root / "partial" / f"{kind}-{key}{self._own}"

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Inside the block entries are made in folders of this process, beside others that make the same."""
        self._own = f".{platform.node()}.{os.getpid()}"
        try:
            yield
        finally:
            self._own = ""

    @contextmanager
    def making(self, kind: str, key: str) -> Iterator[Path]:
        """The folder to make an entry in, held against other processes; `put` inside the block.

        Raises:
            Busy: another process holds it.
        """
        folder = self.partial(kind, key)
        folder.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            try:
                stack.enter_context(held(folder / LOCK, timeout=0))  # without one the first `put` wins all the same
            except (Timeout, FileNotFoundError):  # another process makes it, or has just put it
                raise Busy(f"{kind} {key}") from None
            yield folder

    def put(self, kind: str, key: str, facts: Mapping[str, Any], of: Iterable[str] = ()) -> Entry:
        """Make what lies in the partial folder the entry, read-only; the entry that is there, if one is.

        Args:
            kind: of the entry.
            key: of the entry.
            facts: about it.
            of: keys of the entries that it was made from, for one that no run names: it is kept as long as they are.
        """
        folder, place = self.partial(kind, key), self._place(kind, key)
        with suppress(FileNotFoundError):  # somebody else's rename took it along
            _seal(folder, {"kind": kind, "key": key, "of": sorted(of), "facts": dict(facts)})
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            folder.rename(place)
        except FileNotFoundError:
            pass
        except OSError as error:
            if error.errno not in TAKEN:
                raise
            shutil.rmtree(folder, ignore_errors=True)
        self._known.pop((kind, key), None)
        found = self.find(kind, key)
        if found is None:
            raise OSError(errno.EIO, f"{place} did not keep what was written")
        return found

    def thin(self, kind: str, key: str, names: Iterable[str]) -> None:
        """Take files of an entry away, those of them that it has; it is there as before, and says what it had."""
        folder, names = self._place(kind, key), set(names)
        stored = read_json(folder / ENTRY)
        gone = {} if stored is None else {name: seen for name, seen in stored["files"].items() if name in names}
        if stored is None or not gone:
            return
        files = {name: seen for name, seen in stored["files"].items() if name not in gone}
        write_json(folder / ENTRY, {**stored, "files": files, "removed": {**stored.get("removed", {}), **gone}})
        for name in gone:
            (folder / name).unlink(missing_ok=True)
        self._known.pop((kind, key), None)

    def drop(self, kind: str, key: str) -> None:
        """Remove an entry; files that a run's folder shows stay there."""
        self._known.pop((kind, key), None)
        place, away = self._place(kind, key), self.partial("dropped", f"{key}.{os.getpid()}")
        away.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            place.rename(away)
        shutil.rmtree(away, ignore_errors=True)

    def entries(self) -> Iterator[tuple[str, str, Path]]:
        """Kind, key and folder of every entry."""
        for kind in sorted(self.root.iterdir()) if self.root.is_dir() else ():
            if kind.is_dir() and kind.name not in NO_ENTRIES:
                for prefix in sorted(kind.iterdir()):
                    yield from ((kind.name, folder.name, folder) for folder in sorted(prefix.iterdir()))

    @contextmanager
    def settled(self) -> Iterator[None]:
        """Held while it is written down or looked at which entries are used, so that none is removed in between."""
        self.root.mkdir(parents=True, exist_ok=True)
        with held(self.root / LOCK):
            self._known.clear()
            yield

    def _place(self, kind: str, key: str) -> Path:
        return self.root / kind / key[:PREFIX] / key

    def _take_back(self, kind: str, key: str, whole: list[str] | tuple[()]) -> None:
        """Make an entry a partial one of its whole files."""
        place, partial = self._place(kind, key), self.partial(kind, key)
        partial.parent.mkdir(parents=True, exist_ok=True)
        try:
            place.rename(partial)
        except OSError:  # somebody makes it already
            self.drop(kind, key)
            return
        for file in partial.iterdir():
            if file.name not in whole:
                file.unlink()


def _seal(folder: Path, facts: Mapping[str, Any]) -> None:
    """Describe a folder's files in ENTRY, the last to be written."""
    files = {}
    for file in sorted(folder.iterdir()):
        if file.name.startswith(".") or file.name == ENTRY:
            continue
        file.chmod(0o444)
        status = file.stat()
        files[file.name] = {"bytes": status.st_size, "changed": status.st_mtime_ns, "sha256": file_hash(file)}
    write_json(folder / ENTRY, {**facts, "files": files, "made": now(), "host": platform.node()})
    with (folder / ENTRY).open("rb") as written:
        os.fsync(written.fileno())
    (folder / LOCK).unlink(missing_ok=True)


def is_as_put(file: str, seen: Mapping[str, Any]) -> int:
    """A file's inode where it is as it was put, else 0.

    A copy with another time is, if its content is, and gets its time again.
    """
    try:
        status = os.stat(file)  # noqa: PTH116  (of hundreds of thousands of files: a `Path` takes twice as long)
        if status.st_size != seen["bytes"]:
            return 0
        if status.st_mtime_ns != seen["changed"]:
            if file_hash(Path(file)) != seen["sha256"]:
                return 0
            with suppress(OSError):
                os.utime(file, ns=(status.st_atime_ns, seen["changed"]))
        return status.st_ino
    except OSError:
        return 0
