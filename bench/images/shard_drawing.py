"""Drawing a shard into the store; where memory does not suffice, with half the batch, under its own key."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from ..errors import BenchError
from ..models.devices import is_out_of_memory
from ..runs.plan import Generation
from ..storage.store import Store
from .drawing import generate
from .image_set import ImageSet
from .set_folder import show_images
from .shards import Shard

if TYPE_CHECKING:
    from ..models.guidance import Guide
    from ..models.text_to_image import TextToImage

InFloat32 = Callable[[], AbstractContextManager["TextToImage"]]


def draw_shard(
    store: Store,
    images: ImageSet,
    shard: Shard,
    model: TextToImage,
    settings: Generation,
    guide: Guide | None = None,
    in_float32: InFloat32 | None = None,
    done: Callable[[int], None] = lambda count: None,
    device: str | None = None,
) -> None:
    """Draw a shard's images, unless the store has them, and show them in the set's folder.

    Args:
        store: where they are kept.
        images: the set.
        shard: which of its images.
        model: with the weights of the set's row attached.
        settings: the plan's.
        guide: what draws in place of classifier-free guidance; None for nothing.
        in_float32: the same model in float32, for images that half precision gives no finite values for.
        done: told of images as they are there; of fewer than none where they are drawn anew.
        device: its name, where it is another than the planned one.

    Raises:
        BenchError: one image alone does not fit into memory.
        Busy: another process draws them.
    """
    reason = ""
    for batch, key in shard.on(device).keys.items() if images.entry(images.key_of(shard)) is None else ():
        counted = 0

        def count(images: int) -> None:
            nonlocal counted
            counted += images
            done(images)

        try:
            _draw(store, images, shard, (batch, key, device), model, settings, guide, in_float32, count)
            break
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            reason = str(error).split("\n")[0]
        shutil.rmtree(store.partial("images", key), ignore_errors=True)
        torch.cuda.empty_cache()
        done(-counted)
    if not show_images(images, shard):
        raise BenchError(f"one image alone does not fit into memory ({reason}): choose a smaller generation.size.")


def _draw(
    store: Store,
    images: ImageSet,
    shard: Shard,
    how: tuple[int, str, str | None],
    model: TextToImage,
    settings: Generation,
    guide: Guide | None,
    in_float32: InFloat32 | None,
    done: Callable[[int], None],
) -> None:
    batch, key, device = how
    own = [images.jobs[place] for place in shard.places]
    jobs = [replace(job, prompt_id=f"{number:04d}", sample=0) for number, job in enumerate(own)]
    with store.making("images", key) as place:
        generate(
            model,
            jobs,
            place,
            steps=settings.steps,
            guidance=settings.guidance,
            batch_size=batch,
            scheduler=settings.scheduler,
            size=None if settings.size is None else (settings.size, settings.size),
            guide=guide,
            in_float32=in_float32,
            done=done,
        )
        cut = model.truncated(list(dict.fromkeys(job.text for job in own)))
        store.put("images", key, {"batch": batch, "device": device or shard.device, "truncated": cut}, of=[shard.key])
