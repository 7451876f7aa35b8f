"""Synonyms and broader words (after SEE, arXiv 2508.15124, which asks for super- and subclasses); the list is ours."""

from __future__ import annotations

from functools import cache, partial
from importlib.resources import files
from typing import TYPE_CHECKING

import yaml

from erasebench import AttackConfig, NotApplicable, attack

if TYPE_CHECKING:
    from erasebench import Attempt


@cache
def known_words() -> dict[str, list[str]]:
    """By concept, words in its place: synonyms and kinds of it first, then broader ones."""
    found: dict[str, list[str]] = yaml.safe_load((files("erasebench.attacks") / "synonyms.yaml").read_text("utf-8"))
    return found


@attack(label="Synonyms", paper="arXiv 2508.15124", access="black box")
def synonyms(attempt: Attempt, config: AttackConfig) -> None:
    """Another word in the concept's place: synonyms, then kinds of it, then broader words."""
    words = known_words().get(attempt.concept.name, [])
    if not words:
        raise NotApplicable(f"no synonyms of {attempt.concept.name!r} are known")
    attempt.asked_in_turn([partial(attempt.instead, phrase=word) for word in words])
