"""Why something finished is made again: what its key was made from, then and now."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

Again = Callable[[str], None]  # is told what is made again, and why
LONGEST = 60  # characters of a value that is shown


def warn(text: str) -> None:
    """Log what is made again."""
    logging.getLogger("erasebench").warning("%s", text)


def reasons(before: Mapping[str, Any], after: Mapping[str, Any], known: tuple[str, ...] = ()) -> list[str]:
    """What differs, as "torch 2.8 → 2.9"; entries in `known` are left out.

    >>> reasons({"steps": 3, "made_on": {"torch": "2.8"}}, {"steps": 3, "made_on": {"torch": "2.9"}})
    ['torch 2.8 → 2.9']
    """
    old, new = (dict(_flat(_as_stored(side), known)) for side in (before, after))
    found = []
    for path in dict.fromkeys([*old, *new]):
        if old.get(path) != new.get(path):
            values = [_shown(side.get(path)) for side in (old, new)]
            short = max(map(len, values)) <= LONGEST
            found.append(f"{path[-1]} {values[0]} → {values[1]}" if short else f"{path[-1]} changed")
    return found


def say_why(
    what: str, stored: Mapping[str, Any], made_from: Mapping[str, Any], again: Again, known: tuple[str, ...] = ()
) -> None:
    """Tell that `what` ("images of esd, set coco: drawn") is made again because its record was made from other things.

    Nothing is said where all that differs is `known`, named where it was made.
    """
    found = reasons(stored.get("made_from", {}), made_from, known)
    if found:
        again(f"{what} again because {', '.join(found)}")


def _as_stored(parts: Mapping[str, Any]) -> dict[str, Any]:
    """As JSON gives it back: tuples are lists."""
    plain: dict[str, Any] = json.loads(json.dumps(parts))
    return plain


def _flat(parts: Mapping[str, Any], known: tuple[str, ...], above: tuple[str, ...] = ()) -> Iterator[tuple[Any, Any]]:
    for name, value in parts.items():
        if name in known:
            continue
        if isinstance(value, dict) and value:
            yield from _flat(value, known, (*above, name))
        else:
            yield (*above, name), value


def _shown(value: Any) -> str:
    """A value as text; of a hash the first eight digits."""
    text = str(value)
    return text[:8] if re.fullmatch(r"[0-9a-f]{32,}", text) else text
