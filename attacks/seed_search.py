"""A control: the same prompt from other noise (UnlearnDiffAtk's baseline; Zhang et al., arXiv 2310.11868)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from erasebench import AttackConfig, attack

if TYPE_CHECKING:
    from erasebench import Attempt


@attack(label="Seed search", paper="arXiv 2310.11868", access="black box", control=True)
def seed_search(attempt: Attempt, config: AttackConfig) -> None:
    """The prompt as it is, from other noise for every image."""
    for k, live in enumerate(attempt.rounds()):
        attempt.draw([attempt.ask(t, seed=attempt.number("seed-search", t.prompt_id, k)) for t in live])
