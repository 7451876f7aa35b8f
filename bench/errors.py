"""Errors that a user can mend: one message, exit status 2, no traceback."""

from collections.abc import Iterable
from difflib import get_close_matches


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
