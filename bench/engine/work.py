"""A plan unfolded: which erasures, images and scores it asks for, each with its key."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path

from erasebench.prompts.concepts import Concept, get_concepts
from erasebench.prompts.sets import PromptSet, prompt_set

from ..erasure.method import ErasureTask, Method
from ..errors import BenchError
from ..images.image_set import ImageSet
from ..images.jobs import plan_jobs
from ..images.reference import open_reference, world_reference
from ..images.shards import cuts_of, shards_of
from ..models.parameter_groups import two_encoders
from ..models.words import read_word
from ..registry import METHODS, METRICS
from ..report.leaderboard import TABLE_VERSION
from ..runs.folder import UNSEEDED
from ..runs.plan import Plan, Variant
from ..runs.rows import ORIGINAL, REFERENCE, SNAPSHOT
from ..scoring.clip_files import check_clip, clip_revision
from ..scoring.metric import Metric
from ..storage.keys import content_key
from .draw import images_made_from
from .erasure import Erasure, Guided
from .own_weights import own_row
from .remarks import remarks_on
from .score import SCORE_VERSION
from .setup import Setup

SCORING_PACKAGES = ("nudenet", "clean-fid", "open_clip_torch", "scikit-image")
FOLLOWED = ("concept_rate", "nudenet_rate", "ssim")  # metrics of the timeline


@dataclass(frozen=True)
class Work:
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
    def identity(self) -> dict[str, str | None]:
        """What has to be the same in all processes that work on it: packages, the CLIP model and a hash of all."""
        return {**self.versions, "CLIP weights": self.clip, "a hash of the work": self.fingerprint[:12]}

    @cached_property
    def drawn(self) -> dict[tuple[str, str, int | None], ImageSet]:
        """Every set of images to draw, by row, prompt set and training."""
        return {
            (images.row, images.name, images.training): images
            for (row, _), joined in self.images.items()
            if joined.row == row
            for images in joined.each
            if images.drawn
        }

    @cached_property
    def trained(self) -> dict[tuple[str, int | None], Erasure]:
        """Every training by its row and seed; None where no seed changes anything."""
        return {(erasure.row, erasure.training): erasure for erasure in self.erasures}

    @property
    def cells(self) -> Iterator[tuple[str, str, Metric]]:
        """Every score as row, metric's name and metric: the tables' and then the timeline's."""
        yield from ((row, name, metric) for row in self.rows for name, metric in self.metrics.items())
        yield from ((row, name, metric) for row in self.timeline for name, metric in self.followed.items())

    def sets_of(self, row: str, metric: Metric) -> list[ImageSet]:
        """The image sets that a score is computed from: the row's, the original's and the real images."""
        roles = [
            (row, metric.prompts),
            (ORIGINAL, metric.prompts),
            (REFERENCE, metric.prompts),
            (ORIGINAL, metric.others),
            *((row, role) for role in metric.beside),
        ]
        found = {role: self.images[role[0], role[1]] for role in roles if role[1] and (role[0], role[1]) in self.images}
        return list(found.values())


def unfold(setup: Setup) -> Work:
    """Unfold a plan for a model on a device.

    Raises:
        BenchError: a method's settings are wrong, it needs a replacement that the concept does not have, no method
            reaches a snapshot's step, it trains the text encoder of a model that has two, or the CLIP model can't
            exist.
    """
    plan, model = setup.plan, setup.source
    concept = with_word(get_concepts(plan.erased, plan.kind, plan.replacement, model.family.name), plan.model)
    metrics: dict[str, Metric] = {name: METRICS.load(name) for name in plan.metrics}
    erasures = _erasures(plan, concept, model.family.name)
    for erasure in erasures:
        if "text_encoder" in erasure.method.parts and model.text_encoders > 1:
            raise BenchError(two_encoders(plan.model, erasure.row))
        erasure.check_model(model)
    needed = dict.fromkeys(metric.prompts for metric in metrics.values() if metric.prompts)
    needed |= dict.fromkeys(role for metric in metrics.values() for role in metric.beside)
    of_original = needed | dict.fromkeys(metric.others for metric in metrics.values() if metric.others)
    sets = {name: _prompts(plan, name, concept) for name in of_original}
    images: dict[tuple[str, str], ImageSet] = {}

    jobs_of = {
        name: plan_jobs(prompts.prompts, plan.images_of(name), plan.image_seed, model.image_size)
        for name, prompts in sets.items()
    }

    cuts = {name: cuts_of(jobs, min(setup.drawing.batch_size, len(jobs))) for name, jobs in jobs_of.items()}

    def plan_images(row: str, names: Iterable[str], patches: Mapping[int | None, str | None]) -> None:
        for name in names:
            jobs, parts = jobs_of[name], []
            for seed, patch in patches.items():
                made_from = images_made_from(patch, setup)
                drawn = shards_of(cuts[name], made_from)
                told = made_from | {"prompts": sets[name].hash, "images": len(jobs), "image_seed": plan.image_seed}
                place = setup.folder.images(row, name, seed)
                own = ImageSet(row, name, place, jobs, "", setup.store, training=seed, drawn=drawn, made_from=told)
                parts.append(replace(own, elsewhere=setup.elsewhere))  # the list itself: more become known
            images[row, name] = ImageSet.joined(parts)

    plan_images(ORIGINAL, sets, {None: None})
    timeline: dict[str, tuple[str, int]] = {}
    followed = {name: metric for name, metric in metrics.items() if name in FOLLOWED}
    followed_sets = [name for name in sets if any(metric.prompts == name for metric in followed.values())]
    for row, own in by_row(erasures).items():
        keys = {erasure.training: erasure.images_key(setup) for erasure in own}
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
    if "coco" in sets and (reference := _reference(setup)):
        images[REFERENCE, "coco"] = reference
    labels = {ORIGINAL: "Original", REFERENCE: "Real images"} | {erasure.row: erasure.label for erasure in erasures}
    rows = (ORIGINAL, *plan.rows, *([REFERENCE] if (REFERENCE, "coco") in images else []))
    versions = {name: version(name) for name in SCORING_PACKAGES}
    check_clip(plan.scoring.clip)
    clip = clip_revision(plan.scoring.clip) if any(metric.clip for metric in metrics.values()) else None
    fingerprint = content_key(
        plan=plan.key,
        images=[(row, name, image_set.planned_key) for (row, name), image_set in images.items()],
        erasures=[erasure.images_key(setup) for erasure in erasures],
        metrics=[(name, metric.version) for name, metric in metrics.items()],
        stages=(SCORE_VERSION, TABLE_VERSION),
        versions=versions,
        clip=clip,
    )
    remarks = remarks_on(plan, concept, model.family, sets, images, erasures)
    return Work(
        concept, erasures, sets, images, metrics, followed, rows, timeline, labels, versions, clip, fingerprint, remarks
    )


def by_row(erasures: Iterable[Erasure]) -> dict[str, list[Erasure]]:
    """Each row's trainings, one a seed; a single one where no seed changes anything."""
    found: dict[str, list[Erasure]] = {}
    for erasure in erasures:
        found.setdefault(erasure.row, []).append(erasure)
    return found


def _erasures(plan: Plan, concept: Concept, family: str) -> tuple[Erasure, ...]:
    erasures: list[Erasure] = []
    without: list[str] = []
    for row, variant in plan.rows.items():
        if variant.method is None:
            guided = _guide(row, variant, family, concept.preset)
            _check_several(row, concept, *([guided.method] if guided else []))
            erasures.append(own_row(row, variant, _task(concept, UNSEEDED), plan.training.precision, guided))
            continue
        method: Method = METHODS.load(variant.method)
        if method.beside_weights:
            raise BenchError(f"{row}: {variant.method} scales what a method trained. Name both, as in spm+transport.")
        config = method.configure(family, concept.preset, variant.settings)
        guided = _guide(row, variant, family, concept.preset)
        labels = [method.label, *([guided.method.label] if guided else [])]
        _check_several(row, concept, *(method for method in (method, guided and guided.method) if method))
        if method.needs_replacement and not all(one.replacement for one in concept.each):
            without.append(row)
        for seed in [UNSEEDED] if method.deterministic else plan.seeds:
            erasures.append(
                Erasure(
                    row,
                    variant.label or " + ".join(labels),
                    variant.method,
                    method,
                    config,
                    _task(concept, seed),
                    plan.train_steps,
                    plan.training.precision,
                    (),
                    guided,
                )
            )
    if without:
        raise BenchError(
            f"{', '.join(without)}: these methods need a text that takes the place of "
            f"{', '.join(repr(one.name) for one in concept.each if not one.replacement)}. Give "
            "--replacement TEXT, or leave them out of --methods."
        )
    if not plan.snapshots:
        return tuple(erasures)
    if not set(FOLLOWED) & set(plan.metrics):
        raise BenchError(f"--snapshots: nothing to follow; --metrics needs one of {', '.join(FOLLOWED)}.")
    kept = tuple(
        replace(erasure, snapshots=tuple(step for step in plan.snapshots if step <= (erasure.steps or -1)))
        if erasure.guided is None
        else erasure
        for erasure in erasures
    )
    if not any(erasure.snapshots for erasure in kept):
        raise BenchError(
            f"--snapshots {','.join(map(str, plan.snapshots))}: no method of the plan trains that many steps "
            f"({', '.join(f'{e.row}: {e.steps or 0}' for e in kept)})."
        )
    return kept


def with_word(concept: Concept, model: str) -> Concept:
    """The concept by the word that a model learned for it, where it did."""
    word = read_word(model)
    if word is None:
        return concept
    first, *more = (replace(one, word=word.token) if one.name == word.name else one for one in concept.each)
    return replace(first, besides=tuple(more))


def _task(concept: Concept, seed: int) -> ErasureTask:
    """All concepts' task, the first with the others besides."""
    first, *more = (
        ErasureTask(one.name, one.preset, one.word or one.name, one.replacement, one.anchors, one.asked, seed)
        for one in concept.each
    )
    return replace(first, besides=tuple(more))


def _check_several(row: str, concept: Concept, *methods: Method) -> None:
    """Raise where a method erases one concept only and there are more.

    Raises:
        BenchError: it names the methods that erase several.
    """
    if concept.besides and (alone := [method.label for method in methods if method.several is None]):
        able = [name for name in METHODS.names() if METHODS.load(name).several is not None]
        raise BenchError(
            f"{row}: {alone[0]} erases one concept at a time, not {len(concept.each)}. Methods that erase several: "
            f"{', '.join(able)}."
        )


def _guide(row: str, variant: Variant, family: str, kind: str) -> Guided | None:
    """What guides sampling beside a row's weights.

    Raises:
        BenchError: it changes weights itself, or the row's method changes none.
    """
    if variant.guide is None:
        return None
    guide: Method = METHODS.load(variant.guide)
    if variant.method is None and guide.guide is None:
        raise BenchError(f"{row}: {variant.guide} changes weights itself; a guide is sld or another that changes none.")
    if guide.guide is None or (variant.method is not None and METHODS.load(variant.method).guide is not None):
        raise BenchError(
            f"{row}: {variant.method} is to change weights and {variant.guide} to guide sampling, as in esd+sld. "
            "Name them in this order."
        )
    if guide.beside_weights and variant.method is not None and METHODS.load(variant.method).parts != ("unet",):
        raise BenchError(
            f"{row}: {variant.guide} scales a UNet's weights, and {variant.method} changes other parts too."
        )
    return Guided(variant.guide, guide, guide.configure(family, kind, variant.guide_settings))


def _prompts(plan: Plan, role: str, concept: Concept) -> PromptSet:
    wanted = plan.prompts[role]  # type: ignore[index]
    found = prompt_set(role, wanted.source, concept, plan.images_of(role), wanted.category, wanted.order)
    return found if plan.generation.own_settings else found.without_settings()


def _reference(setup: Setup) -> ImageSet | None:
    """The real images: the user's folder, a prepared reference, the embedded world's, or none."""
    if setup.plan.reference is not None:
        return open_reference(Path(setup.plan.reference), setup.store)
    if not setup.source.family.has_world:
        return None
    return world_reference(setup.folder.images(REFERENCE, "coco"))
