"""The second stage: draw a shard of a row's images with its patch attached."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

from ..images.image_set import ImageSet
from ..images.set_folder import show_images
from ..images.shard_drawing import draw_shard
from ..images.shards import Shard
from ..models.guidance import Guide
from ..models.patch import attached
from ..models.text_to_image import TextToImage
from .setup import Setup

GENERATE_VERSION = 6


def images_made_from(weights: str | None, setup: Setup) -> dict[str, Any]:
    """What one training's images depend on besides their prompts and noise: its weights' key (None for the original), …

    The size of the batches that they are drawn in moves pixels by a grey level; it is part of a shard's key.
    """
    own = {"batch_size", "precision", "own_settings"}  # the last is in the jobs
    return {
        "stage": "generate",
        "version": GENERATE_VERSION,
        "weights": weights,
        "model": setup.source.revision,
        "settings": setup.plan.generation.model_dump(exclude=own),
        "precision": setup.precision["generation"],
        "made_on": dict(setup.made_on),
    }


def draw(
    setup: Setup,
    images: ImageSet,
    shard: Shard,
    patch: Mapping[str, torch.Tensor],
    guide: Guide | None,
    model: Callable[[], TextToImage],
    exact: Callable[[], TextToImage] | None,
    done: Callable[[int], None],
) -> None:
    """Draw one shard and show it in the run's folder.

    Args:
        setup: the run's.
        images: the set.
        shard: which of its images.
        patch: the weights of the set's row; {} for the original model.
        guide: what the row does to sampling; None for nothing.
        model: the original model in the plan's precision.
        exact: the original model in float32, for what half precision gives no finite values for; None without need.
        done: told of images as they are there; of fewer than none where they are drawn anew.

    Raises:
        BenchError: one image alone does not fit into memory.
        Busy: another process draws them.
    """
    if show_images(images, shard):
        return
    network = model()

    @contextmanager
    def in_float32() -> Iterator[TextToImage]:
        full = exact() if exact is not None else network
        with attached(full, patch):
            yield full

    with attached(network, patch):
        again = None if exact is None else in_float32
        draw_shard(setup.store, images, shard, network, setup.drawing, guide, again, done, setup.here)
