"""Locks on files; the operating system frees the lock of a process that dies."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP)  # as a file system says that has none


@contextmanager
def held(file: Path, timeout: float = -1) -> Iterator[bool]:
    """Hold a lock inside the block; False where the file system has none, as nothing is held then.

    A marker file in its place would outlive its process: on another machine nobody could tell that it is dead.

    Args:
        file: the lock's.
        timeout: seconds to wait for another process; below 0 for as long as it takes.

    Raises:
        Timeout: another process holds it.
        OSError: the file can't be made.
    """
    lock = FileLock(file, timeout=timeout, fallback_to_soft=False)
    try:
        lock.acquire()
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
    try:
        yield lock.is_locked
    finally:
        lock.release()


def is_held(file: Path) -> bool:
    """Whether a process holds the lock, or that can't be told; False where there is no such file."""
    if not file.exists():
        return False
    try:
        with held(file, timeout=0) as was_free:
            return not was_free
    except (Timeout, OSError):
        return True
