"""Batched, resumable image writing: one seed an image, PNG written behind the computation."""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from .models import TextToImage

WRITERS = 2


@dataclass(frozen=True)
class Job:
    """One image to draw."""

    prompt_id: str
    text: str
    sample: int
    seed: int

    @property
    def file_name(self) -> str:
        return f"{self.prompt_id}-{self.sample}.png"


def image_seed(run_seed: int, prompt_id: str, sample: int) -> int:
    """The seed of one image, a function of nothing else: 63 bits of a hash.

    >>> image_seed(0, "concept-0001", 0) == image_seed(0, "concept-0001", 1)
    False
    """
    digest = hashlib.sha256(f"{run_seed}/{prompt_id}/{sample}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def plan_jobs(prompts: Sequence[tuple[str, str]], images: int, seeds: Sequence[int]) -> list[Job]:
    """`images` jobs for each run seed: as many samples of each prompt as it takes.

    `prompts` are (id, text); samples are numbered on over the seeds.
    """
    samples = -(-images // len(prompts))
    jobs = []
    for index, seed in enumerate(seeds):
        wanted = [(k, prompt) for k in range(samples) for prompt in prompts][:images]
        jobs += [Job(id_, text, index * samples + k, image_seed(seed, id_, k)) for k, (id_, text) in wanted]
    return jobs


@torch.no_grad()
def generate(
    model: TextToImage,
    jobs: Sequence[Job],
    folder: Path,
    *,
    steps: int,
    guidance: float,
    batch_size: int,
    done: Callable[[int], None] = lambda count: None,
) -> int:
    """Draw the jobs whose files are missing and return how many there were.

    A file is complete as soon as it has its name, so an interrupted run goes on with the first missing image.
    """
    folder.mkdir(parents=True, exist_ok=True)
    present = {entry.name for entry in os.scandir(folder)}
    missing = [job for job in jobs if job.file_name not in present]
    done(len(jobs) - len(missing))
    if not missing:
        return 0
    texts = list(dict.fromkeys(job.text for job in missing))
    row_of = {text: row for row, text in enumerate(texts)}
    embeddings = torch.cat([model.encode(texts[k : k + batch_size]) for k in range(0, len(texts), batch_size)])
    empty = model.encode([""])
    with ThreadPoolExecutor(WRITERS) as writers:
        pending: deque[Future[None]] = deque()
        for start in range(0, len(missing), batch_size):
            batch = missing[start : start + batch_size]
            latents = model.denoise(
                model.noise([job.seed for job in batch]),
                embeddings[[row_of[job.text] for job in batch]],
                empty,
                steps=steps,
                guidance=guidance,
            )
            images = model.decode(latents)
            pending.extend(
                writers.submit(write_png, folder / job.file_name, image)
                for job, image in zip(batch, images, strict=True)
            )
            while len(pending) > 4 * batch_size:
                pending.popleft().result()
            done(len(batch))
        for future in pending:
            future.result()
    return len(missing)


def write_png(path: Path, image: np.ndarray) -> None:
    """Write a uint8 RGB image losslessly; it appears under its name only when it is whole."""
    temporary = path.with_name(f".{path.name}.tmp")
    Image.fromarray(image).save(temporary, format="PNG", compress_level=1)
    temporary.replace(path)


def read_png(path: Path) -> np.ndarray:
    """A stored image as uint8 RGB of shape (height, width, 3)."""
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))
