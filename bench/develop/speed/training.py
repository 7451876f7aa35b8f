"""What the training loop adds to the UNet's own work: a step's time over that of its bare forwards and backwards."""

from __future__ import annotations

import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch

from ...erasure.contract import TASK
from ...erasure.method import Method
from ...erasure.trainer import BLOCK, Trainer
from ...models.attention import VisibleAttention
from ...models.catalog import find_model
from ...models.cost import Cost
from ...models.loading import load_model
from ...models.patch import restored
from ...models.text_to_image import TextToImage
from ...models.timing import synchronize
from ...registry import METHODS

Call = tuple[int, str, bool]  # batch size, what takes gradients (weights, text or nothing), by a patched attention

ENOUGH = 10.0  # seconds of bare calls of one kind


def measure_overheads(methods: Sequence[str], model_name: str, device: str, steps: int, rounds: int) -> Iterator[str]:
    """Lines of a table: for each method seconds a step of the loop, the same of the bare UNet calls, and their ratio.

    The bare calls have the batch sizes of the method's own, with a backward for those with gradient; each round
    times both in turn, and the ratio is the median over rounds.
    """
    model = load_model(find_model(model_name), device)
    yield f"{model_name} on {device}, {steps} steps, {rounds} rounds; closed forms have no steps"
    yield f"{'method':<30}{'s a step':>10}{'bare':>10}{'ratio':>8}{'forwards':>10}{'with grad':>10}{'peak MiB':>10}"
    for name in methods:
        method: Method = METHODS.load(name)
        if "steps" in method.config.model_fields:
            yield _line(model, name, method, steps, rounds)


def _line(model: TextToImage, name: str, method: Method, steps: int, rounds: int) -> str:
    whole, bare, cost = [], [], Cost()
    for _ in range(rounds):
        calls: Counter[Call] = Counter()
        with restored(model), _noted(model, calls):
            seconds, cost, trainer = _train(model, method, steps, calls)
        whole.append(seconds)
        bare.append(_bare(model, trainer, calls))
    ratio = statistics.median(w / b for w, b in zip(whole, bare, strict=True))
    return (
        f"{name:<30}{statistics.median(whole) / steps:>10.3f}{statistics.median(bare) / steps:>10.3f}{ratio:>8.2f}"
        f"{cost.forwards:>10}{cost.forwards_with_gradient:>10}{cost.peak_memory_mb:>10.0f}"
    )


def _train(model: TextToImage, method: Method, steps: int, calls: Counter[Call]) -> tuple[float, Cost, Trainer]:
    """Seconds of the loop alone; what comes before it (a teacher, a bank of words, images) is no part of a step."""
    config = method.configure(model.family, TASK.kind, {})
    trainer = Trainer(model, config.parameters, TASK.seed, steps, block=min(BLOCK, steps))
    fit, seconds = trainer.fit, 0.0

    def timed(*arguments: Any, **options: Any) -> None:
        nonlocal seconds
        calls.clear()
        synchronize(model.device)
        began = time.perf_counter()
        fit(*arguments, **options)
        synchronize(model.device)
        seconds = time.perf_counter() - began

    trainer.fit = timed  # type: ignore[method-assign]
    try:
        method.erase(model, TASK, config, trainer)
    finally:
        del trainer.fit  # it holds the trainer, and so the teacher and the optimiser's state
    return seconds, trainer.cost(), trainer


@contextmanager
def _noted(model: TextToImage, calls: Counter[Call]) -> Iterator[None]:
    """Count the UNet calls by kind."""
    original = model.predict_noise

    def noting(z: torch.Tensor, t: Any, context: torch.Tensor, unet: Any = None) -> torch.Tensor:
        network = unet if unet is not None else model.unet
        weights = any(p.requires_grad for p in network.parameters())
        trained = "text" if context.requires_grad else "weights" if weights else "nothing"
        graded = trained if torch.is_grad_enabled() else "nothing"
        patched = any(isinstance(p, VisibleAttention) for p in network.attn_processors.values())
        calls[len(z), graded, patched] += 1
        return original(z, t, context, unet)

    model.predict_noise = noting  # type: ignore[method-assign]
    try:
        yield
    finally:
        del model.predict_noise


def _bare(model: TextToImage, trainer: Trainer, calls: Counter[Call]) -> float:
    """Seconds of the same UNet calls and nothing else, under the same precision and parameter group."""
    from ...models.attention import visible_cross_attention

    def run(call: Call) -> None:
        batch, graded, patched = call
        z, context = torch.zeros(batch, *model.latent_shape, device=model.device), empty.repeat(batch, 1, 1)
        context.requires_grad_(graded == "text")

        def forward() -> None:
            noise = model.predict_noise(z, 500, context)
            if graded == "text":
                torch.autograd.grad(noise.square().mean(), context)
            elif graded == "weights":
                noise.square().mean().backward()

        with torch.set_grad_enabled(graded != "nothing"):
            if patched:
                with visible_cross_attention(model.unet, lambda probabilities: probabilities):
                    forward()
            else:
                forward()

    empty = model.encode([""])
    with trainer.trainable():
        run(next(iter(calls)))  # first calls are slower
        synchronize(model.device)
        seconds = sum(_seconds(model, partial(run, call), count) for call, count in calls.items())
    model.unet.zero_grad(set_to_none=True)
    return seconds


def _seconds(model: TextToImage, work: Callable[[], None], count: int) -> float:
    """Seconds of `count` calls; where they take longer than ENOUGH, extrapolated from those made until then."""
    began, made = time.perf_counter(), 0
    while made < count and time.perf_counter() - began < ENOUGH:
        work()
        synchronize(model.device)
        made += 1
    return (time.perf_counter() - began) * count / made
