"""What is asked of a spectrum."""

from __future__ import annotations

from dataclasses import dataclass

from .draws import DRAWS, LEVELS, Latents


@dataclass(frozen=True)
class SpectrumRequest:
    """Which models and concepts a spectrum is of, and with how many draws.

    Attributes:
        methods: the run's rows; all of them where empty.
        vocabulary: "clip", "words" or a file.
        limit: a random sample of so many concepts, or None for all.
        levels: noise levels of the shared latents.
        draws: latents at each level, or in image space images of each concept; at least 2.
        seed: of the training whose weights are taken.
        batch_size: predictions or images at once; changes no score beyond rounding.
        csv: whether to write each method's table as CSV too.
    """

    methods: tuple[str, ...] = ()
    vocabulary: str = "clip"
    limit: int | None = None
    levels: int = LEVELS
    draws: int = DRAWS
    seed: int = 0
    batch_size: int = 32
    csv: bool = False

    def latents(self, image_seed: int) -> Latents:
        """The latents that all models see, of the plan's image seed."""
        return Latents(self.levels, self.draws, image_seed)
