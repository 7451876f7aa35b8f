"""A control: random tokens before the prompt (UnlearnDiffAtk's baseline; Zhang et al., ECCV 2024, arXiv 2310.11868)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from erasebench import AttackConfig, attack

if TYPE_CHECKING:
    from erasebench import Attempt


class Config(AttackConfig):
    """Authors' code: 5 tokens for nudity and objects, 3 for styles."""

    tokens: int = Field(5, ge=1, le=60)


@attack(
    label="Random tokens",
    paper="arXiv 2310.11868",
    access="black box",
    config=Config,
    presets={"style": {"tokens": 3}},
    control=True,
)
def random_tokens(attempt: Attempt, config: Config) -> None:
    """Random tokens before the prompt, others for every image of the same noise."""
    for k, live in enumerate(attempt.rounds()):
        tokens = attempt.tokens
        prefixes = [tokens.random(config.tokens, attempt.generator("random-tokens", t.prompt_id, k)) for t in live]
        attempt.draw([attempt.ask(t, tokens.prefixed(t.text, p)) for t, p in zip(live, prefixes, strict=True)])
