"""Whether a process holds a lock file; the operating system frees the lock of one that dies."""

from __future__ import annotations

from pathlib import Path

from filelock import FileLock, Timeout


def is_held(file: Path) -> bool:
    """Whether a process holds the lock; False where there is no such file."""
    if not file.exists():
        return False
    try:
        with FileLock(file, timeout=0):
            return False
    except (Timeout, OSError):
        return True
