"""The second stage: draw a row's images with its patch attached."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from ..errors import BenchError
from ..images.drawing import generate
from ..images.files import remove_damaged, write_png
from ..images.image_set import ImageSet
from ..images.notes import is_drawn
from ..images.set_folder import begin_anew
from ..models.devices import is_out_of_memory, resolve_precision
from ..models.patch import Patch, attached, load_patch
from ..models.provenance import made_on
from ..models.text_to_image import TextToImage
from ..runs.folder import UNSEEDED, RunFolder
from ..runs.plan import Generation, Plan
from ..runs.rows import ORIGINAL
from ..storage.files import read_json, write_json

GENERATE_VERSION = 4


def images_made_from(
    weights: str | None, model_revision: str, prompts: str, images: int, plan: Plan, device: str, batch: int
) -> dict[str, Any]:
    """What one training's images depend on: its weights' key (None for the original), prompts' hash, their count, …

    The size of the batches that they are drawn in moves pixels by a grey level.
    """
    return {
        "stage": "generate",
        "version": GENERATE_VERSION,
        "weights": weights,
        "model": model_revision,
        "prompts": prompts,
        "image_seed": plan.image_seed,
        "images": images,
        "settings": plan.generation.model_dump(exclude={"batch_size", "precision", "own_settings"}),  # in `prompts`
        "precision": resolve_precision(plan.generation.precision, device),
        "made_on": made_on(device),
        "batch": batch,
    }


def draw(
    folder: RunFolder,
    images: ImageSet,
    model: Callable[[], TextToImage],
    exact: Callable[[], TextToImage] | None,
    settings: Generation,
    done: Callable[[int], None],
) -> None:
    """Draw one training's images; where memory does not suffice, all of them with half the batch, under its own key.

    Args:
        folder: the run's.
        images: what to draw.
        model: the original model in the plan's precision.
        exact: the original model in float32, for what half precision gives no finite values for; None without need.
        settings: the plan's.
        done: told of images as they are there; of fewer than none where they are drawn anew.

    Raises:
        BenchError: one image alone does not fit into memory, or the patch can't be used.
    """
    while True:
        counted = 0

        def count(images: int) -> None:
            nonlocal counted
            counted += images
            done(images)

        try:
            return _draw(folder, images, model, exact, settings, count)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            reason = str(error).split("\n")[0]
        if not images.halve():
            raise BenchError(f"one image alone does not fit into memory ({reason}): choose a smaller generation.size.")
        torch.cuda.empty_cache()
        done(-counted)
        begin_anew(folder, images)


def _draw(
    folder: RunFolder,
    images: ImageSet,
    model: Callable[[], TextToImage],
    exact: Callable[[], TextToImage] | None,
    settings: Generation,
    done: Callable[[int], None],
) -> None:
    """Draw what is missing of one training's images, with its patch attached; for the original, note which prompts are
    cut."""
    remove_damaged(images.files)
    if all(is_drawn(file) for file in images.files):
        done(len(images.jobs))
        return
    network = model()
    if images.row == ORIGINAL:
        key_file = folder.images_key(images.row, images.name, images.training)
        truncated = network.truncated(list(dict.fromkeys(job.text for job in images.jobs)))
        write_json(key_file, (read_json(key_file) or {}) | {"truncated": truncated})
    seed = UNSEEDED if images.training is None else images.training
    patch: Patch = {} if images.row == ORIGINAL else load_patch(folder.patch(images.row, seed))
    size = None if settings.size is None else (settings.size, settings.size)

    @contextmanager
    def in_float32() -> Iterator[TextToImage]:
        full = exact() if exact is not None else network
        with attached(full.unet, patch):
            yield full

    with attached(network.unet, patch):
        generate(
            network,
            images.jobs,
            images.folder,
            steps=settings.steps,
            guidance=settings.guidance,
            batch_size=images.batch_size,
            scheduler=settings.scheduler,
            size=size,
            in_float32=None if exact is None else in_float32,
            done=done,
        )


def store_reference(images: ImageSet, pixels: Callable[[], list[Any]]) -> None:
    """Write the real images of a prompt set."""
    remove_damaged(images.files)
    if not all(file.exists() for file in images.files):
        for file, image in zip(images.files, pixels(), strict=True):
            write_png(file, image)
