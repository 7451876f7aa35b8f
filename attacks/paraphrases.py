"""The concept in other words: the bench's own paraphrases, a way to ask that every user finds."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from erasebench import AttackConfig, NotApplicable, attack

if TYPE_CHECKING:
    from erasebench import Attempt


@attack(label="Paraphrases", paper="", access="black box")
def paraphrases(attempt: Attempt, config: AttackConfig) -> None:
    """The concept described without its name ("a municipal waste collection vehicle"), in one way after the other."""
    if not attempt.paraphrases:
        raise NotApplicable(f"no other words for {attempt.concept.name!r} are known")
    attempt.asked_in_turn([partial(attempt.instead, phrase=phrase) for phrase in attempt.paraphrases])
