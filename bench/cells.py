"""A plan unfolded: which erasures, images and scores it asks for, each with its key."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from erasebench.prompts.concepts import get_concept
from erasebench.prompts.sets import Prompt, PromptSet, prompt_set

from .errors import BenchError
from .generate import Job, plan_jobs
from .layout import ORIGINAL, REFERENCE, RunFolder
from .methodology import ErasureTask
from .models import ModelSource
from .plan import Plan
from .registry import METHODS, METRICS
from .scoring import ImageSet, Metric
from .stages import SCORE_VERSION, Erasure, generation_key
from .store import content_key, folder_hash
from .tables import TABLE_VERSION


@dataclass(frozen=True)
class Cells:
    """All work of a plan.

    Attributes:
        erasures: one for each method and seed.
        prompt_sets: those that the metrics need.
        images: image sets by row and prompt set, the reference's among them.
        metrics: by name, in the tables' order.
        rows: original, methods, reference.
        labels: how tables name the rows.
        fingerprint: a hash of everything that the tables depend on.
    """

    erasures: tuple[Erasure, ...]
    prompt_sets: dict[str, PromptSet]
    images: dict[tuple[str, str], ImageSet]
    metrics: dict[str, Metric]
    rows: tuple[str, ...]
    labels: dict[str, str]
    fingerprint: str


def unfold(plan: Plan, model: ModelSource, folder: RunFolder, device: str) -> Cells:
    """Unfold a plan for a model on a device."""
    concept = get_concept(plan.concept)
    metrics: dict[str, Metric] = {name: METRICS.load(name) for name in plan.metrics}
    methods = {name: METHODS.load(name) for name in plan.methods}
    erasures = tuple(
        Erasure(
            name,
            method,
            method.configure(model.family, plan.settings.get(name, {})),
            ErasureTask(plan.concept, concept.name, concept.guide, seed),
            plan.train_steps,
        )
        for name, method in methods.items()
        for seed in plan.seeds
    )
    needed = dict.fromkeys(metric.prompts for metric in metrics.values() if metric.prompts)
    sets = {name: prompt_set(name, concept, plan.images, plan.captions) for name in needed}
    images: dict[tuple[str, str], ImageSet] = {}
    for row in (ORIGINAL, *methods):
        patches = [erasure.key(model.revision, device) for erasure in erasures if erasure.row == row]
        for name, prompts in sets.items():
            jobs = plan_jobs([(prompt.id, prompt.text) for prompt in prompts.prompts], plan.images, plan.seeds)
            key = generation_key(patches, model.revision, prompts.hash, plan, device)
            images[row, name] = ImageSet(row, name, folder.images(row, name), jobs, key)
    if "coco" in sets and (reference := _reference(plan, model, sets["coco"], folder)):
        images[REFERENCE, "coco"] = reference
    labels = {ORIGINAL: "Original", REFERENCE: "Real images"} | {name: method.label for name, method in methods.items()}
    rows = (ORIGINAL, *methods, *([REFERENCE] if (REFERENCE, "coco") in images else []))
    fingerprint = content_key(
        plan=plan.key,
        images=[(row, name, image_set.key) for (row, name), image_set in images.items()],
        erasures=[erasure.key(model.revision, device) for erasure in erasures],
        metrics=[(name, metric.version) for name, metric in metrics.items()],
        stages=(SCORE_VERSION, TABLE_VERSION),
    )
    return Cells(erasures, sets, images, metrics, rows, labels, fingerprint)


def _reference(plan: Plan, model: ModelSource, prompts: PromptSet, folder: RunFolder) -> ImageSet | None:
    """The real images: the user's folder, the embedded world's renders, or none."""
    if plan.reference is not None:
        root = Path(plan.reference)
        files = sorted(path for path in root.rglob("*") if path.suffix.lower() in (".png", ".jpg", ".jpeg"))
        if not files:
            raise BenchError(f"reference: {root} holds no PNG or JPEG images.")
        return ImageSet(REFERENCE, "coco", root, [], folder_hash(root), files)
    drawn: list[Prompt] = [prompt for prompt in prompts.prompts if prompt.scene is not None]
    if model.family != "mini" or not drawn:
        return None
    jobs = [Job(prompt.id, prompt.text, 0, 0) for prompt in drawn]
    key = content_key(reference=prompts.hash, scenes=[repr(prompt.scene) for prompt in drawn])
    return ImageSet(REFERENCE, "coco", folder.images(REFERENCE, "coco"), jobs, key)
