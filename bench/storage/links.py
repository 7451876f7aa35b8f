"""Showing a stored file elsewhere: by a hard link, or as a copy where there are none."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

from .files import write_atomically

NO_LINKS = (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.EACCES, errno.ENOSYS)


def show(source: Path, target: Path) -> None:
    """Let `target` be the file `source`; what was there before gives way."""
    if target.exists() and target.samefile(source):
        return
    write_atomically(target, lambda temporary: _link(source, temporary))


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        shutil.copyfile(source, target)
