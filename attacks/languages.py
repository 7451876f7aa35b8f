"""The concept's name in other languages (HUB, arXiv 2410.05664, whose five languages these are); the list is ours."""

from __future__ import annotations

from functools import cache, partial
from importlib.resources import files
from typing import TYPE_CHECKING

import yaml

from erasebench import AttackConfig, NotApplicable, attack

if TYPE_CHECKING:
    from erasebench import Attempt


@cache
def known_names() -> dict[str, list[str]]:
    """By concept, what it is in Spanish, French, German, Italian and Portuguese, as it stands in a prompt."""
    found: dict[str, list[str]] = yaml.safe_load((files("erasebench.attacks") / "languages.yaml").read_text("utf-8"))
    return found


@attack(label="Languages", paper="arXiv 2410.05664", access="black box")
def languages(attempt: Attempt, config: AttackConfig) -> None:
    """The concept in Spanish, French, German, Italian and Portuguese; the rest of the prompt stays.

    CLIP knows them in part, and the embedded model was taught English alone: read it beside the original's rate.
    """
    names = known_names().get(attempt.concept.name, [])
    if not names:
        raise NotApplicable(f"{attempt.concept.name!r} is known in no other language")
    attempt.asked_in_turn([partial(attempt.instead, phrase=name) for name in names])
