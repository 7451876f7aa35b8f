"""What a plan will cost, before it runs: counts, disk, and the time from a few seconds of measurement."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from ..errors import ModelUnavailable
from ..images.files import write_png
from ..models.catalog import ModelSource, find_model
from ..models.cost import Cost
from ..models.devices import resolve_precision
from ..models.families import EMBEDDED_MODEL, STABLE_DIFFUSION
from ..models.loading import load_model
from ..models.parameter_groups import select
from ..models.text_to_image import TextToImage
from ..models.timing import synchronize
from ..runs.folder import RunFolder
from ..runs.plan import Plan
from ..runs.rows import REFERENCE
from ..scoring.nudenet import detect
from .count_forwards import count_forwards
from .erase import is_trained
from .erasure import Erasure
from .setup import set_up
from .work import Work, unfold

SECONDS = 10.0  # of measurement, in all
TRAINING_BATCH = 4
SCORED = 8  # images, for the measurement
COMPRESSION = 0.6  # of a PNG's bytes to its pixels' bytes, about


def estimate(plan: Plan, folder: RunFolder, device: str, store: Path | None = None) -> list[str]:
    """Lines: cells, images, UNet forwards, disk and time; erasures and images that are there already are left out."""
    source, unreachable = _find(plan.model)
    setup = set_up(plan, source, folder, device, store)
    work = unfold(setup)
    erasures = [erasure for erasure in work.erasures if not is_trained(setup, erasure)]
    images = _missing(work)
    training = _training(erasures)
    size = plan.generation.size or source.image_size
    per_image = plan.generation.steps * (1 if plan.generation.guidance == 1 else 2)
    scores = len(work.rows) * len(work.metrics)
    lines = [
        f"{folder.root}",
        *work.remarks,
        f"cells: {len(erasures)} erasures, {len(work.images)} image sets, {scores} scores in all",
        f"images to draw: {images:,}; there already: {_drawn(work) - images:,}",
        f"UNet forwards: {images * per_image:,} to draw, {training.forwards:,} without and "
        f"{training.forwards_with_gradient:,} with gradient to erase",
    ]
    pixels = f"disk: about {images * size * size * 3 * COMPRESSION / 2**20:,.0f} MiB of images"
    model = unreachable or _load(source, device)
    if isinstance(model, ModelUnavailable):
        return [*lines, pixels, f"time: not known without the weights: {model}"]
    weights = sum(_patch_bytes(model, e.config.parameters) for e in erasures)
    lines.append(f"{pixels}, {weights / 2**20:,.0f} MiB of weights")
    measured = measure(model, plan, size)
    erase = training.forwards * measured["forward"] + training.forwards_with_gradient * measured["gradient"]
    draw, score = images * measured["image"], images * measured["score"]
    parts = f"erase {_minutes(erase)}, draw {_minutes(draw)}, score {_minutes(score)}"
    return [
        *lines,
        f"time on {device}: about {_minutes(erase + draw + score)} ({parts}), from {SECONDS:.0f} s of measurement",
    ]


def _find(name: str) -> tuple[ModelSource, ModelUnavailable | None]:
    """The model; where the hub can't be asked which commit a name means, a stand-in to count with, and the reason."""
    try:
        return find_model(name), None
    except ModelUnavailable as error:
        hub_id, _, wanted = name.partition("@")
        return ModelSource(name, STABLE_DIFFUSION, hub_id, wanted or "main", name), error


def _load(source: ModelSource, device: str) -> TextToImage | ModelUnavailable:
    """The model, or why the hub's can't be had; one that is here and broken is an error."""
    try:
        return load_model(source, device)
    except ModelUnavailable as error:
        if source.hub_revision is None:
            raise
        return error


def measure(model: TextToImage, plan: Plan, size: int) -> dict[str, float]:
    """Seconds of a forward without and with gradient and of drawing and scoring an image; leaves the model cast."""
    share = SECONDS / 4
    batch = min(plan.generation.batch_size, 16)
    z, context = model.noise(list(range(TRAINING_BATCH))), model.encode(["a photo"])
    weights = list(select(model.unet, "xattn").values())

    def forward() -> None:
        with torch.no_grad():
            model.predict_noise(z, 500, context)

    def gradient() -> None:
        for weight in weights:
            weight.requires_grad_(True)
        torch.autograd.grad(model.predict_noise(z, 500, context).square().mean(), weights)
        for weight in weights:
            weight.requires_grad_(False)

    found = {
        name: _timed(work, share, model.device) / TRAINING_BATCH
        for name, work in (("forward", forward), ("gradient", gradient))
    }
    model.set_precision(resolve_precision(plan.generation.precision, model.device))
    noise = model.noise(list(range(batch)), (size, size))
    context, empty = model.encode(["a photo"]), model.encode([""])
    drawn = plan.generation

    def one_step() -> None:
        model.denoise(noise, context, empty, steps=1, guidance=drawn.guidance, solver=drawn.scheduler)

    step = _timed(one_step, share / 2, model.device) / batch
    decode = _timed(lambda: model.decode(noise), share / 2, model.device) / batch
    return found | {"image": step * drawn.steps + decode, "score": _scoring(size, share, model.device)}


def _scoring(size: int, share: float, device: str) -> float:
    """Seconds an image for reading and NudeNet; a plan's other encoders take about as long each."""
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{k}.png" for k in range(SCORED)]
        for k, file in enumerate(files):
            write_png(file, np.random.default_rng(k).integers(0, 256, (size, size, 3), np.uint8))
        return _timed(lambda: list(detect(files, device)), share, "cpu") / SCORED


def _timed(work: Callable[[], object], seconds: float, device: str) -> float:
    """Seconds of one call, from as many as fit, after one to warm up."""
    work()
    synchronize(device)
    began, count = time.perf_counter(), 0
    while count == 0 or time.perf_counter() - began < seconds:
        work()
        count += 1
        synchronize(device)
    return (time.perf_counter() - began) / count


def _training(erasures: list[Erasure]) -> Cost:
    """All erasures' forwards; trainings of one row cost alike."""
    carrier = load_model(find_model(EMBEDDED_MODEL), "cpu")
    total, known = Cost(), dict[str, Cost]()
    for erasure in erasures:
        if erasure.row not in known:
            config = erasure.config
            if erasure.steps is not None:
                config = config.model_copy(update={"steps": erasure.steps})
            known[erasure.row] = count_forwards(carrier, erasure.method, config, replace(erasure.task, seed=0))
        total = total + known[erasure.row]
    return total


def _patch_bytes(model: TextToImage, group: str) -> int:
    return sum(weight.numel() * 4 for weight in select(model.unet, group).values())


def _drawn(work: Work) -> int:
    return sum(len(images.jobs) for images in work.drawn.values() if images.row != REFERENCE)


def _missing(work: Work) -> int:
    """Images that the store lacks."""
    drawn = [(images, shard) for images in work.drawn.values() if images.row != REFERENCE for shard in images.drawn]
    return sum(len(shard.places) for images, shard in drawn if images.entry(images.key_of(shard)) is None)


def _minutes(seconds: float) -> str:
    return (
        f"{seconds:.0f} s"
        if seconds < 100
        else f"{seconds / 60:.0f} min"
        if seconds < 6000
        else f"{seconds / 3600:.1f} h"
    )
