"""Other guidance scales; ours. Erasing is trained, and measured, at one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from erasebench import AttackConfig, attack

if TYPE_CHECKING:
    from erasebench import Attempt


class Config(AttackConfig):
    """Ours: none, weak, the usual one of Stable Diffusion, strong."""

    scales: tuple[float, ...] = Field((1.0, 3.0, 7.5, 15.0), min_length=1, strict=False)


@attack(label="Guidance", paper="", access="black box", config=Config)
def guidance(attempt: Attempt, config: Config) -> None:
    """The same prompt and noise with other guidance scales."""
    for scale, live in zip(config.scales, attempt.rounds(), strict=False):
        attempt.draw([attempt.ask(t, guidance=scale, told=f"{t.text} (guidance {scale:g})") for t in live])
