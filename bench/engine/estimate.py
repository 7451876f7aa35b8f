"""What a plan will cost, before it runs: counts, disk, and the time from a few seconds of measurement."""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from ..errors import ModelUnavailable
from ..images.files import write_png
from ..models.catalog import ModelSource, find_model
from ..models.cost import Cost, peak_memory
from ..models.devices import is_gpu, resolve_precision
from ..models.families import EMBEDDED_MODEL, STABLE_DIFFUSION
from ..models.loading import load_model
from ..models.parameter_groups import select, trained_of
from ..models.text_to_image import TextToImage
from ..models.timing import synchronize
from ..report.overview import PER_SET
from ..runs.attacks import requested
from ..runs.folder import RunFolder
from ..runs.plan import Generation, Plan
from ..scoring.nudenet import detect
from .attack_run import planned_tries
from .contexts import Contexts
from .count_forwards import count_forwards
from .crew import Crew
from .erase import is_trained
from .erasure import Erasure
from .graph import lacking
from .ray_request import RayRequest
from .remarks import SAMPLE, usual_forwards
from .setup import Setup, set_up
from .simulate import simulate
from .tasks import Task
from .work import Work, unfold
from .workers import COPIES, WORKER_BYTES

SECONDS = 10.0  # of measurement, in all
TRAINING_BATCH = 4
SCORED = 8  # images, for the measurement
SEEN = {  # bytes an image, about
    "judge": 512,
    "second_judge": 768,
    "clip": 2048,
    "distance": 8192,
    "nudenet": 1024,
    "cmmd": 3072,
    "imagenet": 4000,
    "canvas objects": 80,
    "canvas styles": 204,
}
COMPRESSION = 0.6  # of a PNG's bytes to its pixels' bytes, about


def estimate(
    plan: Plan,
    folder: RunFolder,
    device: str,
    store: Path | None = None,
    workers: int | None = None,
    ray: RayRequest | None = None,
) -> list[str]:
    """Lines: cells, images, UNet forwards, disk, memory and time; what is there already is left out.

    With several workers the time is that of the run's tasks through the real scheduler, each taking what was measured.

    Arguments as for `run`.
    """
    source, unreachable = _find(plan.model)
    setup = set_up(plan, source, folder, device, store)
    work = unfold(setup)
    count = 1 if unreachable else _workers(setup, workers, ray)
    erasures = [erasure for erasure in work.erasures if not is_trained(setup, erasure)]
    missing = _missing(work)
    images, heavier = sum(missing.values()), _heavier(plan, work)
    costs = _costs(erasures)
    training = sum((costs[erasure.row] for erasure in erasures), Cost())
    size = plan.generation.size or source.image_size
    drawn = sum(count * heavier.get(row, 1) for row, count in missing.items())  # in usual images
    forwards = round(drawn * plan.generation.steps * usual_forwards(plan.generation))
    scores = len(work.rows) * len(work.metrics)
    lines = [
        f"{folder.root}",
        *work.remarks,
        f"cells: {len(erasures)} erasures, {len(work.images)} image sets, {scores} scores in all",
        f"images to draw: {images:,}; there already: {_drawn(work) - images:,}",
        f"UNet forwards: {forwards:,} to draw, {training.forwards:,} without and "
        f"{training.forwards_with_gradient:,} with gradient to erase",
    ]
    if plan.attacks is not None:
        attacks, tries = planned_tries(work, requested(plan.attacks, list(plan.rows), plan.family.name))
        lines.append(f"attacks: {attacks:,}, with the controls; at most {tries:,} images more; their time is not told")
    each = size * size * 3 * COMPRESSION / 2**20
    kept = "" if plan.keep_images == "all" else f", of which {_kept(plan, work) * each:,.0f} stay"
    seen = sum(SEEN[look] for look in _looks(setup, work)) * images / 2**20
    pixels = f"disk: about {images * each:,.0f} MiB of images{kept}, {seen:,.0f} MiB of what is seen in them"
    model = unreachable or _load(source, device)
    if isinstance(model, ModelUnavailable):
        return [*lines, pixels, f"time: not known without the weights: {model}"]
    weights = sum(_patch_bytes(model, e.config.parameters) for e in erasures if e.changes_weights)
    lines.append(f"{pixels}, {weights / 2**20:,.0f} MiB of weights")
    with _threads(torch.get_num_threads() if count == 1 and ray is None else 1):  # as each of several workers has
        measured = measure(model, setup.drawing, size)
    erase = _seconds(training, measured)
    draw, score = drawn * measured["image"], images * measured["score"]
    parts = f"erase {_minutes(erase)}, draw {_minutes(draw)}, score {_minutes(score)}"
    together = ""
    if count > 1 or ray is not None:
        looks = max(1, len(_looks(setup, work)))
        each_row = {row: _seconds(cost, measured) for row, cost in costs.items()}

        def seconds(task: Task) -> float:
            each = {"draw": measured["image"] * heavier.get(task.row, 1), "look": measured["score"] / looks}
            return each_row[task.row] if task.kind == "erase" else each.get(task.kind, 0.0) * task.size

        found = simulate(lacking(setup, work, _contexts(setup, work)), seconds, count)
        unit = "GPU-hours" if is_gpu(device) else "worker-hours"
        who = f"{count} workers" if ray is None else f"{count} workers of the cluster, as fast as this machine,"
        together = (
            f"; with {who} about {_minutes(found.seconds)}, {found.utilisation:.0%} of which they have a task: "
            f"{found.seconds * count / 3600:.2g} {unit}"
        )
    return [
        *lines,
        f"memory: about {_memory(setup, work, count) / 2**30:.1f} GiB{_on_gpu(device)}",
        f"time on {device}: about {_minutes(erase + draw + score)} ({parts}), from {SECONDS:.0f} s of measurement"
        f"{together}",
    ]


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _contexts(setup: Setup, work: Work) -> Contexts:
    """What scores would be given, without a model."""
    return Contexts(setup, work, lambda: None)  # type: ignore[arg-type, return-value]


def _looks(setup: Setup, work: Work) -> set[str]:
    """Through which encoders and detectors images are seen."""
    contexts = _contexts(setup, work)
    return {contexts.name_of(look) for metric in work.metrics.values() for look in metric.looks}


def _kept(plan: Plan, work: Work) -> int:
    """Images that stay once they are scored: a sample of each set, or none."""
    sets = list(work.drawn.values())
    return 0 if plan.keep_images == "none" else sum(min(len(images.jobs), SAMPLE + PER_SET) for images in sets)


def _memory(setup: Setup, work: Work, workers: int) -> float:
    """Bytes of the processes together: each worker's model, and the largest set's features beside the real ones."""
    each = WORKER_BYTES + (0 if is_gpu(setup.device) else COPIES * setup.source.weight_bytes)
    largest = max((len(images.jobs) for images in work.images.values()), default=0)
    widest = max((SEEN[look] for look in _looks(setup, work) if look != "nudenet"), default=0)
    return WORKER_BYTES + workers * each + 2 * 2 * largest * widest


def _on_gpu(device: str) -> str:
    """Of a GPU's memory what was held while it was measured; trainings hold more."""
    if not is_gpu(device):
        return ""
    return f"; of a GPU's own {peak_memory(device) / 1024:.1f} GiB to draw, of trainings see docs/memory.md"


def _workers(setup: Setup, workers: int | None, ray: RayRequest | None) -> int:
    """How many there would be; a cluster that can't be had is an error before anything is loaded."""
    with Crew(setup, workers, ray=ray) as crew:
        return crew.count


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


def measure(model: TextToImage, drawn: Generation, size: int) -> dict[str, float]:
    """Seconds of a forward without and with gradient and of drawing and scoring an image; leaves the model cast."""
    share = SECONDS / 4
    batch = min(drawn.batch_size, 16)
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
    model.set_precision(resolve_precision(drawn.precision, model.device))
    noise = model.noise(list(range(batch)), (size, size))
    context, empty = model.encode(["a photo"]), model.encode([""])

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


def _seconds(cost: Cost, measured: Mapping[str, float]) -> float:
    return cost.forwards * measured["forward"] + cost.forwards_with_gradient * measured["gradient"]


def _costs(erasures: list[Erasure]) -> dict[str, Cost]:
    """One training's forwards by row; those of other seeds cost alike."""
    carrier = load_model(find_model(EMBEDDED_MODEL), "cpu")
    known: dict[str, Cost] = {}
    for erasure in erasures:
        if erasure.row not in known:
            config = erasure.config
            if erasure.steps is not None:
                config = config.model_copy(update={"steps": erasure.steps})
            known[erasure.row] = count_forwards(carrier, erasure.method, config, replace(erasure.task, seed=0))
    return known


def _patch_bytes(model: TextToImage, group: str) -> int:
    return sum(weight.numel() * 4 for weight in trained_of(model, group).values())


def _drawn(work: Work) -> int:
    sets = list(work.drawn.values())
    return sum({shard.key: len(shard.places) for images in sets for shard in images.drawn}.values())


def _missing(work: Work) -> Counter[str]:
    """Images that the store lacks, by row; rows alike share them."""
    sets = list(work.drawn.values())
    shards = {shard.key: (images, shard) for images in sets for shard in images.drawn}
    found: Counter[str] = Counter()
    for images, shard in shards.values():
        if images.entry(images.key_of(shard)) is None:
            found[images.row] += len(shard.places)
    return found


def _heavier(plan: Plan, work: Work) -> dict[str, float]:
    """How many usual images one of a row takes, for rows that guide sampling."""
    guides = {erasure.row: erasure.guide for erasure in work.erasures}
    usual = usual_forwards(plan.generation)
    return {row: guide.forwards / usual for row, guide in guides.items() if guide is not None}


def _minutes(seconds: float) -> str:
    return (
        f"{seconds:.0f} s"
        if seconds < 100
        else f"{seconds / 60:.0f} min"
        if seconds < 6000
        else f"{seconds / 3600:.1f} h"
    )
