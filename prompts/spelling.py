"""One canonical form for the spellings of a concept."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

MARKS = ".,;:!?()“”\"'"  # around a word they say nothing
ARTICLES = ("a", "an", "the")
IRREGULAR = {"men": "man", "women": "woman", "children": "child", "people": "person"}


def canonical(text: str) -> str:
    """A concept's text as it is used everywhere: composed letters, small, one space between words.

    CLIP's tokenizer reads all of these spellings as one.

    >>> canonical("  Garbage\\u00a0 Truck")
    'garbage truck'
    >>> canonical("Cafe\\u0301") == canonical("caf\\u00e9")
    True
    """
    small = unicodedata.normalize("NFKC", text).lower()
    return " ".join(unicodedata.normalize("NFKC", small).split())


@lru_cache(1 << 14)
def words_of(text: str) -> tuple[str, ...]:
    """A text's words in the singular without a leading article: equal for all spellings of a concept.

    >>> words_of("The Garbage-Trucks") == words_of("garbage truck")
    True
    """
    plain = re.sub(r"[\s_-]+", " ", canonical(text)).strip()
    words = [bare for word in plain.split(" ") if (bare := word.strip(MARKS))]
    if len(words) > 1 and words[0] in ARTICLES:
        words = words[1:]
    return tuple(_singular(word) for word in words)


def _singular(word: str) -> str:
    """A word without its plural's ending, by rule: a form to compare by, not always a word."""
    if word in IRREGULAR:
        return IRREGULAR[word]
    if re.search(r"[^aeiou]ies$", word):
        return word[:-3] + "y"
    if re.search(r"(s|x|z|ch|sh)es?$", word):  # churches, and houses like house
        return re.sub(r"es?$", "", word)
    return word[:-1] if re.search(r"[^siu]s$", word) and len(word) > 3 else word


def same(a: str, b: str) -> bool:
    """Whether two texts are spellings of one concept."""
    return words_of(a) == words_of(b)


def mentions(text: str, name: str) -> bool:
    """Whether a concept's words stand in a text, one after the other, in any spelling.

    >>> mentions("a photo of garbage trucks at night", "Truck"), mentions("a cart", "car")
    (True, False)
    """
    wanted, words = words_of(name), words_of(text)
    return bool(wanted) and any(words[k : k + len(wanted)] == wanted for k in range(len(words)))


def overlap(a: str, b: str) -> bool:
    """Whether one concept is named within the other, as a truck is in "garbage truck": neither is "another" one."""
    return mentions(a, b) or mentions(b, a)


def spelled(name: str, known: Iterable[str]) -> str | None:
    """The one of the known names that a text is a spelling of; None where it is none of them."""
    plain, found = canonical(name), list(known)
    if plain in found:
        return plain
    return next((one for one in found if same(one, name)), None)
