"""A plan unfolded: which erasures, images and scores it asks for, each with its key."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

from erasebench.prompts import WHERE
from erasebench.prompts.concepts import Concept, get_concept, paraphrases
from erasebench.prompts.sets import PromptSet, prompt_set, world_reference

from ..erasure.method import ErasureTask, Method
from ..errors import BenchError
from ..images.image_set import ImageSet
from ..images.jobs import Job, plan_jobs
from ..images.reference import open_reference
from ..models.catalog import ModelSource
from ..registry import METHODS, METRICS
from ..report.leaderboard import TABLE_VERSION
from ..runs.folder import UNSEEDED, RunFolder
from ..runs.plan import Plan
from ..runs.rows import ORIGINAL, REFERENCE, SNAPSHOT
from ..scoring.clip_files import check_clip, clip_revision
from ..scoring.metric import Metric
from ..storage.keys import content_key
from .draw import images_made_from
from .erasure import Erasure
from .score import SCORE_VERSION

SCORING_PACKAGES = ("nudenet", "clean-fid", "open_clip_torch", "scikit-image")
FOLLOWED = ("concept_rate", "nudenet_rate", "ssim")  # metrics of the timeline


@dataclass(frozen=True)
class Cells:
    """All work of a plan.

    Attributes:
        concept: what is erased.
        erasures: one for each row to train and seed.
        prompt_sets: those that the metrics need.
        images: image sets by row and prompt set, the reference's among them.
        metrics: by name, in the tables' order.
        followed: those of them that are scored at snapshots too.
        rows: original, methods and variants, reference.
        timeline: snapshots' rows, as (row, step).
        labels: how tables name the rows.
        versions: of the packages that scores depend on.
        clip: a hash of the weights of the plan's CLIP model; None where no metric looks with it, or they are not here.
        fingerprint: a hash of everything that the tables depend on.
        remarks: what a reader of the tables should know of the plan.
    """

    concept: Concept
    erasures: tuple[Erasure, ...]
    prompt_sets: dict[str, PromptSet]
    images: dict[tuple[str, str], ImageSet]
    metrics: dict[str, Metric]
    followed: dict[str, Metric]
    rows: tuple[str, ...]
    timeline: dict[str, tuple[str, int]]
    labels: dict[str, str]
    versions: dict[str, str]
    clip: str | None
    fingerprint: str
    remarks: tuple[str, ...]

    @property
    def drawn(self) -> Iterator[ImageSet]:
        """Every set of images to draw, one a training."""
        for (row, _), images in self.images.items():
            if images.row == row != REFERENCE:
                yield from images.each


def unfold(plan: Plan, model: ModelSource, folder: RunFolder, device: str) -> Cells:
    """Unfold a plan for a model on a device.

    Raises:
        BenchError: a method's settings are wrong, it needs a replacement that the concept does not have, no method
            reaches a snapshot's step, or the CLIP model can't exist.
    """
    concept = get_concept(plan.concept, plan.kind, plan.replacement, model.family)
    metrics: dict[str, Metric] = {name: METRICS.load(name) for name in plan.metrics}
    erasures = _erasures(plan, concept, model.family)
    needed = dict.fromkeys(metric.prompts for metric in metrics.values() if metric.prompts)
    of_original = needed | dict.fromkeys(metric.others for metric in metrics.values() if metric.others)
    sets = {name: _prompts(plan, name, concept) for name in of_original}
    images: dict[tuple[str, str], ImageSet] = {}

    def plan_images(row: str, names: Iterable[str], patches: Mapping[int | None, str | None]) -> None:
        for name in names:
            prompts = sets[name]
            jobs = plan_jobs(prompts.prompts, plan.images_of(name), plan.image_seed, model.image_size)
            parts = []
            for seed, patch in patches.items():
                sources = {
                    batch: images_made_from(patch, model.revision, prompts.hash, len(jobs), plan, device, batch)
                    for batch in halves(min(plan.generation.batch_size, len(jobs)))
                }
                keys = {batch: content_key(**source) for batch, source in sources.items()}
                place, kept = folder.images(row, name, seed), folder.features(row, name, seed)
                first, source = next(iter(keys.values())), next(iter(sources.values()))
                parts.append(ImageSet(row, name, place, jobs, first, kept, training=seed, keys=keys, made_from=source))
            images[row, name] = ImageSet.joined(parts)

    plan_images(ORIGINAL, sets, {None: None})
    timeline: dict[str, tuple[str, int]] = {}
    followed = {name: metric for name, metric in metrics.items() if name in FOLLOWED}
    followed_sets = [name for name in sets if any(metric.prompts == name for metric in followed.values())]
    for row, own in by_row(erasures).items():
        keys = {erasure.training: erasure.key(model.revision, device) for erasure in own}
        plan_images(row, needed, keys)
        trained = own[0]
        for step in trained.snapshots:
            snapshot = f"{row}{SNAPSHOT}{step}"
            timeline[snapshot] = (row, step)
            same = {0: ORIGINAL, trained.steps: row}.get(step)  # both ends are drawn already
            if same is None:
                plan_images(snapshot, followed_sets, {seed: f"{key}{SNAPSHOT}{step}" for seed, key in keys.items()})
            else:
                images |= {(snapshot, name): images[same, name] for name in followed_sets}
    if "coco" in sets and (reference := _reference(plan, model, folder)):
        images[REFERENCE, "coco"] = reference
    labels = {ORIGINAL: "Original", REFERENCE: "Real images"} | {erasure.row: erasure.label for erasure in erasures}
    rows = (ORIGINAL, *plan.rows, *([REFERENCE] if (REFERENCE, "coco") in images else []))
    versions = {name: version(name) for name in SCORING_PACKAGES}
    check_clip(plan.scoring.clip)
    clip = clip_revision(plan.scoring.clip) if any(metric.clip for metric in metrics.values()) else None
    fingerprint = content_key(
        plan=plan.key,
        images=[(row, name, image_set.key) for (row, name), image_set in images.items()],
        erasures=[erasure.key(model.revision, device) for erasure in erasures],
        metrics=[(name, metric.version) for name, metric in metrics.items()],
        stages=(SCORE_VERSION, TABLE_VERSION),
        versions=versions,
        clip=clip,
    )
    remarks = _remarks(plan, concept, model.family, sets, images)
    return Cells(
        concept, erasures, sets, images, metrics, followed, rows, timeline, labels, versions, clip, fingerprint, remarks
    )


def _remarks(
    plan: Plan, concept: Concept, family: str, sets: Mapping[str, PromptSet], images: Mapping[tuple[str, str], ImageSet]
) -> tuple[str, ...]:
    """Where a plan's images are other than somebody may think."""
    found = []
    for role, prompts in sets.items():
        wanted, drawn, source = plan.images_of(role), len(images[ORIGINAL, role].jobs), plan.prompts[role].source  # type: ignore[index]
        if wanted is not None and drawn != wanted:
            found.append(
                f"prompts.{role}: {drawn} images of each training, not {wanted}: every one of {len(prompts.prompts)} "
                "prompts has the same number."
            )
        if source == "world" and family != "mini":
            found.append(
                f"prompts.{role}: “world” are captions of the embedded model's pictograms; scores over them compare "
                f"with no paper's. Give everyday captions: --prompts {role}=coco_30k.csv ({WHERE['coco_30k.csv']})."
            )
        if source == "wordings" and not paraphrases(concept.name):
            found.append(f"prompts.{role}: no other words for {concept.name!r} are known; it is asked for by its name.")
    return tuple(found)


def halves(batch: int) -> Iterator[int]:
    """A batch size, its half, and so on to 1.

    >>> list(halves(12))
    [12, 6, 3, 1]
    """
    while batch:
        yield batch
        batch //= 2


def by_row(erasures: Iterable[Erasure]) -> dict[str, list[Erasure]]:
    """Each row's trainings, one a seed; a single one where no seed changes anything."""
    found: dict[str, list[Erasure]] = {}
    for erasure in erasures:
        found.setdefault(erasure.row, []).append(erasure)
    return found


def _erasures(plan: Plan, concept: Concept, family: str) -> tuple[Erasure, ...]:
    erasures, without = [], []
    for row, variant in plan.rows.items():
        method: Method = METHODS.load(variant.method)
        config = method.configure(family, concept.preset, variant.settings)
        if method.needs_replacement and not concept.replacement:
            without.append(row)
        for seed in [UNSEEDED] if method.deterministic else plan.seeds:
            task = ErasureTask(
                concept.name, concept.preset, concept.name, concept.replacement, concept.anchors, concept.phrase, seed
            )
            erasures.append(
                Erasure(
                    row,
                    variant.label or method.label,
                    variant.method,
                    method,
                    config,
                    task,
                    plan.train_steps,
                    plan.training.precision,
                    (),
                )
            )
    if without:
        raise BenchError(
            f"{', '.join(without)}: these methods need a text that takes the place of {concept.name!r}. Give "
            "--replacement TEXT, or leave them out of --methods."
        )
    if not plan.snapshots:
        return tuple(erasures)
    if not set(FOLLOWED) & set(plan.metrics):
        raise BenchError(f"--snapshots: nothing to follow; --metrics needs one of {', '.join(FOLLOWED)}.")
    kept = tuple(
        replace(erasure, snapshots=tuple(step for step in plan.snapshots if step <= (erasure.steps or -1)))
        for erasure in erasures
    )
    if not any(erasure.snapshots for erasure in kept):
        raise BenchError(
            f"--snapshots {','.join(map(str, plan.snapshots))}: no method of the plan trains that many steps "
            f"({', '.join(f'{e.row}: {e.steps or 0}' for e in kept)})."
        )
    return kept


def _prompts(plan: Plan, role: str, concept: Concept) -> PromptSet:
    wanted = plan.prompts[role]  # type: ignore[index]
    found = prompt_set(role, wanted.source, concept, plan.images_of(role), wanted.category, wanted.order)
    return found if plan.generation.own_settings else found.without_settings()


def _reference(plan: Plan, model: ModelSource, folder: RunFolder) -> ImageSet | None:
    """The real images: the user's folder, a prepared reference, the embedded world's renders, or none."""
    if plan.reference is not None:
        return open_reference(Path(plan.reference))
    if model.family != "mini":
        return None
    jobs = [Job(prompt.id, prompt.text, 0, 0) for prompt, _ in world_reference()]
    key = content_key(reference=[(prompt.id, prompt.text, repr(scene)) for prompt, scene in world_reference()])
    place = folder.images(REFERENCE, "coco"), jobs, key, folder.features(REFERENCE, "coco")
    return ImageSet(REFERENCE, "coco", *place)
