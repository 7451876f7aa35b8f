"""Which images to draw, each with a seed of its own."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from erasebench.prompts.prompt import Prompt


FILE_SIZE = 512  # pixels: the model that prompt files give sizes for


@dataclass(frozen=True)
class Job:
    """One image to draw, the same for the original and for every training.

    Attributes:
        guidance, size: the prompt's own, where it has them; the size as width and height.
        template: the wording that its prompt shares with others; None for a prompt that stands alone.
        clean: what remains of the prompt without the concept, where it says so.
    """

    prompt_id: str
    text: str
    sample: int
    seed: int
    guidance: float | None = None
    size: tuple[int, int] | None = None
    template: str | None = None
    clean: str | None = None

    @property
    def cluster(self) -> str:
        """The unit over which prompts are independent: the template, or the prompt's own id."""
        return self.prompt_id if self.template is None else self.template

    @property
    def file_name(self) -> str:
        return f"{self.prompt_id}-{self.sample}.png"


def image_seed(noise: int, prompt_id: str, sample: int) -> int:
    """The seed of one image, a function of the plan's image seed, prompt and sample alone: 63 bits of a hash.

    >>> image_seed(0, "concept-0001", 0) == image_seed(0, "concept-0001", 1)
    False
    """
    digest = hashlib.sha256(f"{noise}/{prompt_id}/{sample}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def plan_jobs(prompts: Sequence[Prompt], images: int | None, noise: int = 0, native: int = FILE_SIZE) -> list[Job]:
    """At most `images` jobs: the same number of samples of every prompt, at least one; None for one of each.

    `noise` is the plan's image seed. A prompt's own seed is its first sample's. Its own size is meant for Stable
    Diffusion's 512 pixels; for a model of another `native` size it is scaled.
    """
    samples = 1 if images is None else max(1, images // len(prompts))
    jobs = []
    for k, prompt in product(range(samples), prompts):
        seed = prompt.seed if k == 0 and prompt.seed is not None else image_seed(noise, prompt.id, k)
        size = None if prompt.size is None else (_scaled(prompt.size[0], native), _scaled(prompt.size[1], native))
        jobs.append(Job(prompt.id, prompt.text, k, seed, prompt.guidance, size, prompt.template, prompt.clean))
    return jobs


def _scaled(side: int, native: int) -> int:
    """Pixels of a model of this size for pixels of Stable Diffusion v1, a multiple of 8."""
    return max(16, side * native // FILE_SIZE // 8 * 8)
