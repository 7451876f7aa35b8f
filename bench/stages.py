"""The three stages of a cell, erase → generate → score: each skips what its key says is done."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import torch

from .devices import is_out_of_memory, resolve_precision, resolve_training_precision
from .errors import BenchError
from .generate import generate
from .image_notes import is_drawn
from .image_sets import ImageSet
from .images import remove_damaged, write_png
from .keys import Again, say_why, warn
from .layout import ORIGINAL, REFERENCE, SNAPSHOT, UNSEEDED, RunFolder
from .methodology import ErasureTask, Method, MethodConfig
from .models import TextToImage
from .patch import Patch, attached, changed, check, difference, load_patch, save_patch, snapshot
from .plan import Generation, Plan
from .provenance import made_on
from .scores import ImageScores, Metric, NotApplicable, NotScored, SetScore
from .scoring import ScoringContext
from .stats import combine_set_scores
from .store import content_key, is_whole, read_json, write_json
from .stored_scores import estimate_fields, estimate_values
from .training import Report, Trainer, Workspace

ERASE_VERSION, GENERATE_VERSION, SCORE_VERSION = 3, 4, 6


@dataclass(frozen=True)
class Erasure:
    """One row's training with one seed.

    Attributes:
        row: the row's name.
        label: how tables name it.
        name: the method's registered name.
        method: the method.
        config: its configuration.
        task: what is erased, and the seed.
        max_steps: an upper limit on steps, or None.
        precision: of training: auto, fp32 or bf16.
        snapshots: steps whose weights are kept too.
    """

    row: str
    label: str
    name: str
    method: Method
    config: MethodConfig
    task: ErasureTask
    max_steps: int | None
    precision: str
    snapshots: tuple[int, ...]

    @property
    def training(self) -> int | None:
        """The training seed; None where it changes nothing."""
        return None if self.method.deterministic else self.task.seed

    @property
    def steps(self) -> int | None:
        """Optimiser updates; None for a closed form."""
        steps: int | None = getattr(self.config, "steps", None)
        return steps if steps is None else min(steps, self.max_steps or steps)

    def made_from(self, model_revision: str, device: str) -> dict[str, Any]:
        """Everything that its weights depend on."""
        return {
            "stage": "erase", "version": ERASE_VERSION, "model": model_revision, "made_on": made_on(device),
            "method": self.name, "method_version": self.method.version, "config": self.config.model_dump(),
            "task": vars(self.task), "max_steps": self.max_steps,
            "precision": resolve_training_precision(self.precision, device),
        }  # fmt: skip

    def key(self, model_revision: str, device: str) -> str:
        return content_key(**self.made_from(model_revision, device))


def erase(
    folder: RunFolder, erasure: Erasure, made_from: Mapping[str, Any], model: Callable[[], TextToImage], report: Report,
    again: Again = warn,
) -> bool:  # fmt: skip
    """Train, check and store one patch with its cost; False if it was there already.

    An interrupted training goes on from its checkpoint; patches of snapshots are written as they come. `again` is told
    why a finished training is done again.
    """
    key = content_key(**made_from)
    row, seed = erasure.row, erasure.task.seed
    patch_file, facts_file, checkpoint = (
        folder.patch(row, seed),
        folder.erasure(row, seed),
        folder.checkpoint(row, seed),
    )
    missing = [k for k in erasure.snapshots if k and not is_whole(folder.patch(f"{row}{SNAPSHOT}{k}", seed))]
    stored = read_json(facts_file)
    if stored is not None and stored.get("key") == key and not missing and is_whole(patch_file):
        return False
    if stored is not None:
        say_why(f"{erasure.label}, seed {seed}: trained", stored, made_from, again)
    network = model()
    before = snapshot(network.unet)

    def keep(step: int, weights: Mapping[str, torch.Tensor]) -> None:
        if step:
            save_patch(folder.patch(f"{row}{SNAPSHOT}{step}", seed), changed(before, weights))

    version = f"{erasure.name} {erasure.method.version}, {ERASE_VERSION}"
    workspace = Workspace(checkpoint, folder.cache, key, version, resume_before=min(missing, default=math.inf))
    trainer = Trainer(
        network, erasure.config.parameters, seed, erasure.max_steps, erasure.precision, report,
        frozenset(erasure.snapshots), keep, workspace,
    )  # fmt: skip
    network.cut.clear()
    try:
        erasure.method.erase(network, erasure.task, erasure.config, trainer)
        cost = trainer.cost()
        patch = difference(before, network.unet)
        check(patch, set(trainer.parameters), erasure.label)
        save_patch(patch_file, patch)
    finally:
        network.unet.load_state_dict(before)
    write_json(facts_file, {
        "key": key, "made_from": made_from, "method": erasure.name, "config": erasure.config.model_dump(),
        "task": vars(erasure.task), "cost": asdict(cost), "history": trainer.history,
        "truncated": sorted(network.cut),
    })  # fmt: skip
    checkpoint.unlink(missing_ok=True)
    return True


def images_made_from(
    weights: str | None, model_revision: str, prompts: str, images: int, plan: Plan, device: str, batch: int
) -> dict[str, Any]:
    """What one training's images depend on: its weights' key (None for the original), prompts' hash, their count, …

    The size of the batches that they are drawn in moves pixels by a grey level.
    """
    return {
        "stage": "generate", "version": GENERATE_VERSION, "weights": weights, "model": model_revision,
        "prompts": prompts, "image_seed": plan.image_seed, "images": images,
        "settings": plan.generation.model_dump(exclude={"batch_size", "precision", "own_settings"}),  # in `prompts`
        "precision": resolve_precision(plan.generation.precision, device), "made_on": made_on(device), "batch": batch,
    }  # fmt: skip


def prepare_images(folder: RunFolder, images: ImageSet, again: Again = warn) -> None:
    """Make sure that the folder holds nothing but images of this key; `again` is told why others are drawn again."""
    if holds(folder, images):
        return
    stored = read_json(folder.images_key(images.row, images.name, images.training))
    if stored is not None:
        seed = "" if images.training is None else f", seed {images.training}"
        say_why(f"images of {images.row}{seed}, set {images.name}: drawn", stored, images.made_from, again)
    _begin_anew(folder, images)


def holds(folder: RunFolder, images: ImageSet) -> bool:
    """Whether the folder is this set's; its key becomes a smaller batch's where memory did not suffice for its own."""
    stored = read_json(folder.images_key(images.row, images.name, images.training)) or {}
    return stored.get("key") == images.key or (
        stored.get("planned_batch") == images.planned_batch and images.take(str(stored.get("key")))
    )


def _begin_anew(folder: RunFolder, images: ImageSet) -> None:
    """Empty a set's folder and write down what belongs there."""
    shutil.rmtree(images.folder, ignore_errors=True)
    images.folder.mkdir(parents=True)
    prompts = {job.prompt_id: job.text for job in images.jobs}
    seeds = {job.file_name: job.seed for job in images.jobs}
    facts = {
        "key": images.key, "made_from": images.made_from, "planned_batch": images.planned_batch, "prompts": prompts,
        "seeds": seeds,
    }  # fmt: skip
    write_json(folder.images_key(images.row, images.name, images.training), facts)


def draw(
    folder: RunFolder, images: ImageSet, model: Callable[[], TextToImage], exact: Callable[[], TextToImage] | None,
    settings: Generation, done: Callable[[int], None],
) -> None:  # fmt: skip
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
        _begin_anew(folder, images)


def _draw(
    folder: RunFolder, images: ImageSet, model: Callable[[], TextToImage], exact: Callable[[], TextToImage] | None,
    settings: Generation, done: Callable[[int], None],
) -> None:  # fmt: skip
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
            network, images.jobs, images.folder, steps=settings.steps, guidance=settings.guidance,
            batch_size=images.batch_size, scheduler=settings.scheduler, size=size,
            in_float32=None if exact is None else in_float32, done=done,
        )  # fmt: skip


def store_reference(images: ImageSet, pixels: Callable[[], list[Any]]) -> None:
    """Write the real images of a prompt set."""
    remove_damaged(images.files)
    if not all(file.exists() for file in images.files):
        for file, image in zip(images.files, pixels(), strict=True):
            write_png(file, image)


UPSTREAM = ("images", "original", "others", "reference", "costs")  # why these changed is told where they are made


def score_made_from(
    name: str, metric: Metric, row: str, context: ScoringContext, images: ImageSet | None
) -> dict[str, Any]:
    """Everything that a score depends on."""

    def key_of(image_set: ImageSet | None) -> str | None:
        return image_set.key if image_set else None

    return {
        "stage": "score", "version": SCORE_VERSION, "metric": name, "metric_version": metric.version, "row": row,
        "concept": vars(context.concept), "images": key_of(images), "original": key_of(context.original),
        "others": key_of(context.others), "reference": key_of(context.reference),
        "judge": context.judge.revision if context.judge else None, "costs": list(context.costs),
        "scoring": context.scoring.model_dump(), "versions": dict(context.versions),
    }  # fmt: skip


def score(
    folder: RunFolder, name: str, metric: Metric, context: ScoringContext, images: ImageSet | None, again: Again = warn
) -> dict[str, Any]:
    """The record of one score: computed and stored, or the one that was there already.

    A record with a `failure` has no key, so that it is tried again. `again` is told why a finished one is, unless that
    is because of what it is computed from.
    """
    path = folder.score(context.row, name)
    made_from = score_made_from(name, metric, context.row, context, images)
    key = content_key(**made_from)
    stored = read_json(path)
    if stored is not None and stored.get("key") == key:
        return stored
    if stored is not None:
        say_why(f"{name} of {context.row}: computed", stored, made_from, again, UPSTREAM)
    path.unlink(missing_ok=True)  # if this raises, no table may show the older one
    record: dict[str, Any] = {
        "key": key, "made_from": made_from, "failure": "", "row": context.row, "metric": name,
        "label": metric.label, "version": metric.version,
        "better": metric.better, "value": None, "low": None, "high": None, "error": None, "freedom": None, "n": 0,
        "clusters": 0, "covers": "", "unscored": [], "prompts": metric.prompts,
        "digits": metric.digits, "is_cost": metric.is_cost, "is_rate": metric.is_rate,
        "note": "", "qualifier": "", "reason": "",
    }  # fmt: skip
    try:
        if context.row == REFERENCE and not metric.with_reference:
            raise NotApplicable("not defined for real images")
        result = metric.score(images, context)
    except NotApplicable as reason:
        record["reason"] = str(reason)
    except NotScored as reason:
        record |= {"key": "", "failure": str(reason), "reason": str(reason)}
    else:
        if isinstance(result, SetScore):
            record |= _set_fields(result)
        elif isinstance(result, ImageScores) and images is not None:
            record |= _aggregate(result, images, metric)
        else:
            raise BenchError(
                f"the metric {name!r} returned {type(result).__name__}: return ImageScores with one value an image, "
                "or SetScore with one for the whole set; one that scores no images (prompts=None) returns SetScore."
            )
        record |= {"note": result.note, "qualifier": result.qualifier}
    write_json(path, record)
    return record


def _set_fields(result: SetScore) -> dict[str, Any]:
    """A set's score with its interval, over trainings and groups of prompts where it has them."""
    parts = [asdict(part) for part in result.trainings]
    fields: dict[str, Any] = {"n": result.n, "trainings": parts, "unscored": list(result.unscored)}
    if not math.isfinite(result.value):
        reason = f"the score is {result.value}"
        return fields | {"key": "", "reason": reason, "failure": reason}
    if not result.trainings:
        return fields | {
            "value": float(result.value), "low": result.low, "high": result.high, "covers": result.covers,
        }  # fmt: skip
    values = {part.seed: part.value for part in result.trainings}
    left_out = {part.seed: part.replicates for part in result.trainings}
    return fields | estimate_fields(combine_set_scores(values, left_out, result.n))


def _aggregate(result: ImageScores, images: ImageSet, metric: Metric) -> dict[str, Any]:
    """Mean and interval over prompts, with every image's value; one that is not finite is an unscored image.

    Raises:
        BenchError: there is not one value, and where there are any one detail, for each image.
    """
    details = list(result.details or [None] * len(images.jobs))
    if not len(result.values) == len(details) == len(images.jobs):
        raise BenchError(
            f"{len(result.values)} values and {len(details)} details for {len(images.jobs)} images: return one each in "
            "the order of images.jobs, None for an image without a value."
        )
    values = [None if value is None or not math.isfinite(value) else float(value) for value in result.values]
    for k, (value, given) in enumerate(zip(values, result.values, strict=True)):
        if value is None and given is not None:
            details[k] = f"{images.files[k].name}: its value is {given}"
    rows = [
        {"prompt": job.prompt_id, "cluster": job.cluster, "sample": job.sample, "seed": seed, "value": value}
        | ({"detail": detail} if detail is not None else {})
        for job, seed, value, detail in zip(images.jobs, images.trainings, values, details, strict=True)
    ]
    unscored = [
        str(detail or file.name)
        for file, value, detail in zip(images.files, values, details, strict=True)
        if value is None
    ]
    record: dict[str, Any] = {"values": rows, "unscored": unscored}
    found = estimate_values(rows, values, metric.is_rate)
    if found is None:
        reason = f"no image could be scored: {unscored[0]}" if unscored else "there is no image"
        return record | {"key": "", "reason": reason, "failure": reason}
    return record | estimate_fields(found)
