"""Writing files whole or not at all, reading them back, and removing what a crash left."""

from __future__ import annotations

import datetime
import json
import logging
import os
import platform
import re
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .keys import content_key
from .seal import BLANK, FIELD, is_intact, seal

if TYPE_CHECKING:
    import pandas as pd

CHECKSUM = "checksum"
FOREIGN_SECONDS = 86_400.0  # after which a temporary file of another host was left
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a cell begins with that a spreadsheet would compute


def _checksum(value: Mapping[str, Any]) -> str:
    """What tells a whole JSON file from a damaged one."""
    return content_key(**value)[:16]


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Call `write` on a temporary neighbour of `path`, then move it into place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_name(path)
    try:
        write(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def temporary_name(path: Path) -> Path:
    """Where a file is written before it gets its name: unlike that of any other write, process or host."""
    return path.with_name(f".{path.name}.{_host()}.{os.getpid()}.{uuid.uuid4().hex[:12]}.tmp")


def _host() -> str:
    """This host's name without dots."""
    return re.sub(r"[^A-Za-z0-9-]", "-", platform.node()) or "host"


def is_there(path: Path) -> bool:
    """Whether a file or folder is there, though another machine has just put it.

    NFS remembers for up to a minute that a name was not there, and asks again once the folder above has been opened.
    """
    if path.exists():
        return True
    for folder in list(path.parents)[2::-1]:
        with suppress(OSError):
            os.close(os.open(folder, os.O_RDONLY))
    return path.exists()


def remove_leftovers(folder: Path) -> None:
    """Delete the temporary files of this host's processes that were killed, and another host's after a day."""
    for path in folder.rglob(".*.tmp"):
        *_, host, pid, _, _ = ["", "", "", *path.name.split(".")]
        with suppress(FileNotFoundError):
            if _was_left(path, host, pid):
                path.unlink()


def _was_left(path: Path, host: str, pid: str) -> bool:
    if host == _host() and pid.isdigit():
        return not _lives(int(pid))
    return time.time() - path.stat().st_mtime > FOREIGN_SECONDS


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def damaged(path: Path) -> None:
    """Say that a file is not as it was written, and taken for missing; what a run needs it makes again."""
    logging.getLogger("erasebench").warning("%s is damaged and not used", path)


def now() -> str:
    """UTC to the second, ISO 8601."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def write_text(path: Path, text: str) -> None:
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write an object with a checksum of its content."""
    plain = json.loads(json.dumps(value))
    write_text(path, json.dumps({**plain, CHECKSUM: _checksum(plain)}, indent=1, sort_keys=True) + "\n")


def read_json(path: Path) -> dict[str, Any] | None:
    """The object that `write_json` stored; None where there is none, or with a warning where it is damaged."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        checksum = value.pop(CHECKSUM)
        if checksum == _checksum(value):
            return dict(value)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None
    except (ValueError, AttributeError, KeyError, TypeError, RecursionError):
        pass
    damaged(path)
    return None


def stored_key(path: Path) -> str | None:
    """The key of what a record says that there is; None where there is no record."""
    key = (read_json(path) or {}).get("key")
    return None if key is None else str(key)


def write_csv(path: Path, table: pd.DataFrame) -> None:
    """Write a table whose texts a spreadsheet can't take for formulas."""
    safe = table.map(lambda value: f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value)
    write_text(path, safe.to_csv(index=False))


def write_sealed(path: Path, save: Callable[[Path, dict[str, str]], object], **metadata: str) -> None:
    """Let `save` write a safetensors file with this metadata and a checksum, atomically."""

    def write(temporary: Path) -> None:
        save(temporary, {**metadata, FIELD: BLANK})
        seal(temporary)

    write_atomically(path, write)


def is_whole(path: Path) -> bool:
    """Whether a file of `write_sealed` is there as it was written; says so where it is damaged."""
    if is_intact(path):
        return True
    if path.exists():
        damaged(path)
    return False
