"""Errors that users see: what is wrong, where, what is allowed, and what to do next."""

from __future__ import annotations

import traceback
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path


class Broken(Exception):
    """A method breaks the contract; the message says how."""


class BenchError(Exception):
    """Says what is wrong, where, what is allowed and what to do next."""


class ModelUnavailable(BenchError):
    """The weights can't be read: no cell of the run can go on."""


def unknown(kind: str, name: str, known: Iterable[str], list_command: str) -> BenchError:
    """The error for a name that is not registered, with the nearest known names."""
    names = sorted(known)
    by_small = {known_name.casefold(): known_name for known_name in names}
    close = [by_small[match] for match in get_close_matches(name.casefold(), by_small, n=3, cutoff=0.55)]
    hint = f" Did you mean {' or '.join(repr(match) for match in close)}?" if close else ""
    listed = f" Known: {', '.join(names)}." if len(names) <= 12 else ""
    return BenchError(f"unknown {kind} {name!r}.{hint}{listed} `{list_command}` shows them all.")


def told(error: BaseException) -> str:
    """What somebody else's code raised, and where: the last line outside of installed packages, or else the last one.

    >>> try:
    ...     import no_such_module
    ... except ImportError as error:
    ...     told(error).partition(" (")[0]
    "ModuleNotFoundError: No module named 'no_such_module'"
    """
    if isinstance(error, SyntaxError) and error.filename:
        return f"{type(error).__name__}: {error.msg} ({Path(error.filename).name}, line {error.lineno})"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith("<frozen")]
    own = [frame for frame in frames if "site-packages" not in frame.filename] or frames
    place = f" ({Path(own[-1].filename).name}, line {own[-1].lineno})" if own else ""
    return f"{type(error).__name__}: {error}{place}"


class NotApplicable(Exception):
    """This metric has no value for this row; the message says why."""


class NotScored(Exception):
    """This metric should have a value but has none: no image can be read, or a model's weights are missing.

    Unlike NotApplicable a failure: it is recorded, and the same command tries again.
    """
