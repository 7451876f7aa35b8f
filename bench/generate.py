"""Batched, resumable image writing: one seed an image, PNG written behind the computation."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import groupby, product
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from .image_notes import ImageNote, is_drawn, note_of, write_note
from .images import write_png

if TYPE_CHECKING:
    from erasebench.prompts.prompt import Prompt

    from .models import TextToImage

WRITERS = 2
FILE_SIZE = 512  # pixels: the model that prompt files give sizes for


@dataclass(frozen=True)
class Job:
    """One image to draw, the same for the original and for every training.

    Attributes:
        guidance, size: the prompt's own, where it has them; the size as width and height.
        template: the wording that its prompt shares with others; None for a prompt that stands alone.
    """

    prompt_id: str
    text: str
    sample: int
    seed: int
    guidance: float | None = None
    size: tuple[int, int] | None = None
    template: str | None = None

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
        jobs.append(Job(prompt.id, prompt.text, k, seed, prompt.guidance, size, prompt.template))
    return jobs


def _scaled(side: int, native: int) -> int:
    """Pixels of a model of this size for pixels of Stable Diffusion v1, a multiple of 8."""
    return max(16, side * native // FILE_SIZE // 8 * 8)


@torch.no_grad()
def generate(
    model: TextToImage,
    jobs: Sequence[Job],
    folder: Path,
    *,
    steps: int,
    guidance: float,
    batch_size: int,
    scheduler: str = "ddim",
    size: tuple[int, int] | None = None,
    in_float32: Callable[[], AbstractContextManager[TextToImage]] | None = None,
    done: Callable[[int], None] = lambda count: None,
) -> int:
    """Draw the jobs whose files are missing and return how many there were.

    Jobs of one size and guidance are drawn together; `guidance` and `size` are for those without their own. A file is
    complete as soon as it has its name. Batches are the same whatever is missing, and one that lacks an image is drawn
    again as a whole: so an interrupted run repeats a batch at most, and its images equal an undisturbed run's bit by
    bit.

    Images whose values are not finite are drawn again with the model that `in_float32` gives, if it is given. One that
    still is not finite gets no file: its note says so, and it is unscored.
    """
    folder.mkdir(parents=True, exist_ok=True)
    missing = {job.file_name for job in jobs if not is_drawn(folder / job.file_name)}
    done(len(jobs) - len(missing))
    if not missing:
        return 0

    def drawn(model: TextToImage, batch: Sequence[Job]) -> tuple[np.ndarray, np.ndarray]:
        """Images of one size and guidance, and which of them are finite."""
        own = batch[0]
        texts = list(dict.fromkeys(job.text for job in batch))
        embeddings = dict(zip(texts, model.encode(texts), strict=True))
        latents = model.denoise(
            model.noise([job.seed for job in batch], own.size or size),
            torch.stack([embeddings[job.text] for job in batch]),
            model.encode([""]),
            steps=steps,
            guidance=guidance if own.guidance is None else own.guidance,
            solver=scheduler,
        )
        return model.decode_checked(latents)

    with ThreadPoolExecutor(WRITERS) as writers:
        pending: deque[Future[None]] = deque()
        for batch in _batches(jobs, batch_size):
            lacking = [job.file_name in missing for job in batch]
            if not any(lacking):
                continue
            images, finite = drawn(model, batch)
            again = [] if in_float32 is None else np.flatnonzero(~finite).tolist()
            if again and in_float32 is not None:
                with in_float32() as exact:
                    images[again], finite[again] = drawn(exact, [batch[k] for k in again])
            notes = [note_of(image, finite[k], k in again) for k, image in enumerate(images)]
            pending.extend(
                writers.submit(_write, folder / job.file_name, image, note)
                for job, image, note, lacks in zip(batch, images, notes, lacking, strict=True)
                if lacks
            )
            while len(pending) > 4 * batch_size:
                pending.popleft().result()
            done(sum(lacking))
        for future in pending:
            future.result()
    return len(missing)


def _write(path: Path, image: np.ndarray, note: ImageNote | None) -> None:
    if note is not None:
        write_note(path, note)
    if note is None or not note.unscored:
        write_png(path, image)


def _batches(jobs: Sequence[Job], batch_size: int) -> Iterator[list[Job]]:
    """Batches of one size and guidance each; where all are alike, in the jobs' order."""

    def kind(job: Job) -> tuple[str, str]:
        return str(job.size), str(job.guidance)

    for _, group in groupby(sorted(jobs, key=kind), key=kind):
        alike = list(group)
        yield from (alike[start : start + batch_size] for start in range(0, len(alike), batch_size))
