"""Holding a run's folder: one process at a time works in it, for one plan."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

from filelock import Timeout

from ..errors import BenchError
from ..storage.files import now, remove_leftovers, write_text
from ..storage.locks import held
from ..storage.reasons import warn
from .folder import LOCK, RunFolder
from .plan import Plan
from .record import read_plan

RESERVE = 1 << 20  # bytes that are given up on a full disk, so that what happened can be written


def check_usable(folder: RunFolder, plan: Plan) -> None:
    """Raise unless the folder is new, empty or holds a run of this plan; nothing is written.

    Raises:
        BenchError: the folder belongs to another plan, or holds other files.
    """
    if folder.plan.exists():
        _check_same_plan(folder, plan)
    elif folder.root.is_dir() and any(entry.name not in HIDDEN for entry in folder.root.iterdir()):
        raise BenchError(f"--out {folder.root} holds files that are no run. Choose an empty or a new folder.")


@contextmanager
def locked(folder: RunFolder, plan: Plan) -> Iterator[None]:
    """Hold the folder's lock, after checking that it is writable and belongs to this plan.

    The operating system frees the lock of a process that dies.

    Raises:
        BenchError: the folder belongs to another plan, is in use, or can't be written.
    """
    with ExitStack() as stack:
        try:
            folder.root.mkdir(parents=True, exist_ok=True)
            has_lock = stack.enter_context(held(folder.lock, timeout=0))
        except Timeout:
            raise BenchError(
                f"{folder.root} is in use by {_holder(folder)}. Wait for it or choose another --out."
            ) from None
        except OSError as error:
            raise BenchError(
                f"--out {folder.root} can't be written: {error.strerror}. Choose another folder."
            ) from None
        if not has_lock:
            warn(f"{folder.root}: this file system has no locks. Let no other process work in this folder meanwhile.")
        check_usable(folder, plan)
        remove_leftovers(folder.root)
        if not folder.plan.exists():
            write_text(folder.plan, plan.to_yaml())
        write_text(folder.root / HOLDER, f"process {os.getpid()} on {platform.node()} since {now()}")
        (folder.root / SPARE).write_bytes(bytes(RESERVE))
        try:
            yield
        finally:
            for name in (HOLDER, SPARE):
                (folder.root / name).unlink(missing_ok=True)


def make_room(folder: RunFolder) -> None:
    """Give up the reserve, so that a full disk takes a record of what happened."""
    with suppress(OSError):
        (folder.root / SPARE).unlink(missing_ok=True)


HOLDER, SPARE = ".holder", ".reserve"
HIDDEN = (LOCK, HOLDER, SPARE)


def _holder(folder: RunFolder) -> str:
    try:
        return f"another `bench run` ({(folder.root / HOLDER).read_text(encoding='utf-8')})"
    except OSError:
        return "another `bench run`"


def _check_same_plan(folder: RunFolder, plan: Plan) -> None:
    stored = read_plan(folder)
    if stored.key != plan.key:
        mine, theirs = plan.model_dump(), stored.model_dump()
        different = [key for key in mine if mine[key] != theirs[key]]
        raise BenchError(
            f"--out {folder.root} belongs to another plan: it differs in {', '.join(different)}. Nothing was changed. "
            f"Choose another folder, or go on with that one: `bench run {folder.plan} --out {folder.root}`."
        )
