"""How fast generation is: against the usual evaluation script, and against what the machine can do at most."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from ...images.drawing import generate
from ...images.jobs import Job, image_seed
from ...models.catalog import find_model
from ...models.loading import load_model
from ...models.text_to_image import TextToImage
from ...models.timing import MATRIX_SIZE, matrix_gflops, synchronize


@dataclass(frozen=True)
class Speed:
    """Seconds an image, as medians over interleaved rounds of one run.

    Attributes:
        batched: this package's generation: text, UNet, decoding, PNG files.
        one_by_one: the diffusers pipeline called once for each prompt, PNG files.
        limit: the UNet's counted FLOPs over the measured matrix-product rate; nothing else.
        unet_gflop: FLOPs (in 10⁹) of the UNet for one image.
        matrix_gflops: the measured rate of a float32 matrix product, 10⁹ FLOPs a second.
    """

    batched: float
    one_by_one: float
    limit: float
    unet_gflop: float
    matrix_gflops: float


def measure(
    model_name: str, device: str, images: int, steps: int, batch_size: int, rounds: int, guidance: float = 5.0
) -> Speed:
    """Time both ways and the matrix product in turn, `rounds` times; float32 throughout on a CPU."""
    model = load_model(find_model(model_name), device)
    pipeline = model.pipeline()
    pipeline.set_progress_bar_config(disable=True)
    prompts = [f"a photo of a {word}" for word in ("cat", "bus", "church", "woman", "guitar", "boat", "house", "dog")]
    jobs = [Job(f"prompt-{k:04d}", prompts[k % len(prompts)], 0, image_seed(0, str(k), 0)) for k in range(images)]
    gflop = _unet_gflop(model) * steps * (1 if guidance == 1 else 2)
    few = jobs[: max(2, images // 4)]  # one by one is slow: a quarter tells as much

    def batched(folder: Path) -> None:
        generate(model, jobs, folder, steps=steps, guidance=guidance, batch_size=batch_size)

    def one_by_one(folder: Path) -> None:
        for job in few:
            drawn = pipeline(
                job.text,
                num_inference_steps=steps,
                guidance_scale=guidance,
                generator=torch.Generator().manual_seed(job.seed),
            )
            drawn.images[0].save(folder / job.file_name)

    times: dict[str, list[float]] = {"batched": [], "one": [], "rate": []}
    _timed(
        lambda folder: generate(model, jobs[:batch_size], folder, steps=2, guidance=guidance, batch_size=batch_size),
        device,
    )
    for _ in range(rounds):
        times["rate"].append(matrix_gflops(device))
        times["batched"].append(_timed(batched, device) / len(jobs))
        times["rate"].append(matrix_gflops(device))
        times["one"].append(_timed(one_by_one, device) / len(few))
    rate = statistics.median(times["rate"])
    return Speed(statistics.median(times["batched"]), statistics.median(times["one"]), gflop / rate, gflop, rate)


def report(speed: Speed) -> str:
    """The measurement as lines of text."""
    share = speed.limit / speed.batched
    return "\n".join(
        [
            f"matrix product      {speed.matrix_gflops:8.0f} GFLOP/s (float32, {MATRIX_SIZE}×{MATRIX_SIZE})",
            f"UNet, one image     {speed.unet_gflop:8.1f} GFLOP",
            f"limit               {1000 * speed.limit:8.1f} ms an image: the UNet alone at that rate",
            f"batched             {1000 * speed.batched:8.1f} ms an image, {share:.0%} of the limit's speed",
            f"one by one          {1000 * speed.one_by_one:8.1f} ms an image: the diffusers pipeline, once a prompt",
            f"batched is {speed.one_by_one / speed.batched:.2f} times as fast as one by one",
        ]
    )


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
