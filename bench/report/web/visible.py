"""Texts and numbers of others made safe to show: what can't be seen, or turns text around, is written out."""

from __future__ import annotations

import json
import math
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

KEPT = "\n\t"
# Joiners and selectors hold emoji and several scripts together.
JOINING = "\u200c\u200d\ufe0e\ufe0f"


def visible(text: str) -> str:
    """The text with control and format characters written out, such as those that reverse what follows.

    >>> visible("a\\u202eb"), visible("tab\\tstays")
    ('a⟨U+202E⟩b', 'tab\\tstays')
    """
    return "".join(letter if _is_shown(letter) else f"⟨U+{ord(letter):04X}⟩" for letter in text)


def _is_shown(letter: str) -> bool:
    if letter in KEPT or letter in JOINING:
        return True
    return unicodedata.category(letter) not in ("Cc", "Cf", "Cs", "Zl", "Zp")


def finite(value: float | None) -> float | None:
    """The number; None where it is none."""
    return value if value is not None and math.isfinite(value) else None


def page_json(value: Any) -> str:
    """JSON that stands in a page's script element: no text in it can end the element, and a number is one or null.

    >>> page_json({"a": "</script>", "b": float("nan")})
    '{"a":"\\\\u003c/script\\\\u003e","b":null}'
    """
    text = json.dumps(_plain(value), allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, float):
        return finite(value)
    if isinstance(value, Mapping):
        return {visible(str(key)): _plain(inner) for key, inner in value.items()}
    if isinstance(value, Sequence):
        return [_plain(inner) for inner in value]
    return value
