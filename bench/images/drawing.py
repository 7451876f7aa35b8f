"""Drawing an image set in batches that are the same whatever is missing."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from ..models.guidance import GuidedBatch
from .files import write_png
from .jobs import Job
from .notes import ImageNote, is_drawn, note_of, write_note

if TYPE_CHECKING:
    from ..models.guidance import Guide
    from ..models.text_to_image import TextToImage

WRITERS = 2


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
    guide: Guide | None = None,
    in_float32: Callable[[], AbstractContextManager[TextToImage]] | None = None,
    done: Callable[[int], None] = lambda count: None,
) -> int:
    """Draw the jobs whose files are missing and return how many there were.

    Jobs of one size are drawn together; `guidance` and `size` are for those without their own; a `guide` takes the
    place of classifier-free guidance. A file is
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

    def drawn(model: TextToImage, empty: torch.Tensor, batch: Sequence[Job]) -> tuple[np.ndarray, np.ndarray]:
        """Images of one size, and which of them are finite; `empty` is the empty prompt's embedding."""
        texts = list(dict.fromkeys(job.text for job in batch))
        embeddings = dict(zip(texts, model.encode(texts), strict=True))
        noise = model.noise([job.seed for job in batch], batch[0].size or size)
        context = torch.stack([embeddings[job.text] for job in batch])
        scales = [guidance if job.guidance is None else job.guidance for job in batch]
        if guide is None:
            latents = model.denoise(noise, context, empty, steps=steps, guidance=scales, solver=scheduler)
        else:
            scale = torch.tensor(scales, dtype=torch.float32, device=noise.device).view(-1, 1, 1, 1)
            together = GuidedBatch(model, [job.text for job in batch], context, empty, scale, steps)
            latents = model.walk(noise, guide.predictor(together), steps, solver=scheduler)
        return model.decode_checked(latents)

    empty = model.encode([""])
    with ThreadPoolExecutor(WRITERS) as writers:
        pending: deque[Future[None]] = deque()
        for batch in _batches(jobs, batch_size):
            lacking = [job.file_name in missing for job in batch]
            if not any(lacking):
                continue
            images, finite = drawn(model, empty, batch)
            again = [] if in_float32 is None else np.flatnonzero(~finite).tolist()
            if again and in_float32 is not None:
                with in_float32() as exact:
                    images[again], finite[again] = drawn(exact, exact.encode([""]), [batch[k] for k in again])
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
    """Batches of one size each, in the jobs' order."""

    def kind(job: Job) -> str:
        return str(job.size)

    for _, group in groupby(sorted(jobs, key=kind), key=kind):
        alike = list(group)
        yield from (alike[start : start + batch_size] for start in range(0, len(alike), batch_size))
