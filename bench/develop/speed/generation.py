"""How fast drawing is: against the usual evaluation script, and against what the machine can do at most."""

from __future__ import annotations

import copy
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from ...images.drawing import generate
from ...images.jobs import Job, image_seed
from ...models.catalog import find_model
from ...models.devices import PRECISIONS, resolve_precision
from ...models.loading import load_model
from ...models.text_to_image import TextToImage
from ...models.timing import MATRIX_SIZE, matrix_gflops, synchronize
from ...runs.plan import Generation
from ...runs.plan_file import load_plan

USUAL = Generation(scheduler="ddim", steps=25, guidance=5.0, precision="fp32")
WORDS = ("cat", "bus", "church", "woman", "guitar", "boat", "house", "dog")
SHARE = 4  # one by one is slow: every fourth image tells as much


def measure_generation(model_name: str, device: str, images: int, batch_size: int, rounds: int) -> Iterator[str]:
    """Lines: images drawn as the plan `main` draws them, and as the usual script does, by it and by this package.

    The usual script calls the diffusers pipeline once a prompt: DDIM, 25 steps, float32. Text, decoding and PNG files
    are in all times, which are medians over rounds that go through the three ways in turn.

    Args:
        model_name: as for `bench run`.
        device: a torch device.
        images: to draw, by the script a quarter as many.
        batch_size: images drawn at once.
        rounds: repetitions.
    """
    full = load_model(find_model(model_name), device)
    jobs = [
        Job(f"prompt-{k:04d}", f"a photo of a {WORDS[k % len(WORDS)]}", 0, image_seed(0, str(k), 0))
        for k in range(images)
    ]
    few = jobs[: max(2, images // SHARE)]
    own = load_plan("main", {"model": model_name}).generation
    own = own.model_copy(update={"precision": resolve_precision(own.precision, device)})
    network = _in_precision(full, model_name, own.precision)
    ways: dict[str, tuple[int, Callable[[Path], object]]] = {
        "default": (len(jobs), lambda folder: _draw(network, jobs, folder, own, batch_size)),
        "equal": (len(jobs), lambda folder: _draw(full, jobs, folder, USUAL, batch_size)),
        "usual": (len(few), lambda folder: _script(full, few, folder)),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    rates: dict[str, list[float]] = {"fp32": [], own.precision: []}
    _timed(lambda folder: _draw(network, jobs[:2], folder, own, 2), device)
    for _ in range(rounds):
        for precision, measured in rates.items():
            measured.append(matrix_gflops(device, PRECISIONS[precision]))
        for name, (count, work) in ways.items():
            times[name].append(_timed(work, device) / count)
    seconds = {name: statistics.median(measured) for name, measured in times.items()}
    limit = {precision: statistics.median(measured) for precision, measured in rates.items()}
    gflop = _unet_gflop(full)
    yield f"{model_name} on {device}, {images} images, batches of {batch_size}, {rounds} rounds in turn"
    for precision, rate in limit.items():
        yield f"matrix product of {MATRIX_SIZE} × {MATRIX_SIZE} in {precision}: {rate:.0f} GFLOP/s"
    for name, what, settings in (
        ("usual", "diffusers pipeline, once a prompt", USUAL),
        ("equal", "erasebench, as the script draws", USUAL),
        ("default", "erasebench, as the plan main draws", own),
    ):
        share = gflop * settings.steps * 2 / limit[settings.precision] / seconds[name]
        yield (
            f"{what + ' (' + _said(settings) + ')':64} {1000 * seconds[name]:7.1f} ms an image, "
            f"{share:.0%} of the matrix product’s speed, {seconds['usual'] / seconds[name]:.2f} times as fast"
        )


def _said(settings: Generation) -> str:
    return f"{settings.scheduler.upper()} {settings.steps}, {settings.precision}"


def _in_precision(full: TextToImage, name: str, precision: str) -> TextToImage:
    """The model as runs draw with it."""
    network = load_model(find_model(name), full.device) if precision == "fp16" else copy.copy(full)
    network.set_precision(precision)
    return network


def _draw(model: TextToImage, jobs: Sequence[Job], folder: Path, settings: Generation, batch_size: int) -> None:
    generate(
        model,
        jobs,
        folder,
        steps=settings.steps,
        guidance=settings.guidance,
        batch_size=batch_size,
        scheduler=settings.scheduler,
    )


def _script(model: TextToImage, jobs: Sequence[Job], folder: Path) -> None:
    pipeline = model.pipeline()
    pipeline.set_progress_bar_config(disable=True)
    for job in jobs:
        drawn = pipeline(
            job.text,
            num_inference_steps=USUAL.steps,
            guidance_scale=USUAL.guidance,
            generator=torch.Generator().manual_seed(job.seed),
        )
        drawn.images[0].save(folder / job.file_name)


def _timed(work: Callable[[Path], object], device: str) -> float:
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        work(Path(folder))
        synchronize(device)
        return time.perf_counter() - began


@torch.no_grad()
def _unet_gflop(model: TextToImage) -> float:
    """FLOPs of one UNet forward of one image, in 10⁹."""
    z, context = torch.zeros(1, *model.latent_shape, device=model.device), model.encode([""])
    with FlopCounterMode(display=False) as counter:
        model.unet(z, 500, context)
    return counter.get_total_flops() / 1e9
