"""What a reader of the tables should know of a plan."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from erasebench.prompts import WHERE
from erasebench.prompts.concepts import Concept, paraphrases
from erasebench.prompts.sets import PromptSet

from ..images.image_set import ImageSet
from ..models.families import Family
from ..runs.plan import Generation, Plan
from ..runs.rows import ORIGINAL
from .erasure import Erasure

SAMPLE = 100  # images of a set and training that `keep_images: sample` keeps


def usual_forwards(generation: Generation) -> int:
    """UNet forwards of a step and image where nothing guides sampling: guidance of 1 needs no empty prompt."""
    return 1 if generation.guidance == 1 else 2


def remarks_on(
    plan: Plan,
    concept: Concept,
    family: Family,
    sets: Mapping[str, PromptSet],
    images: Mapping[tuple[str, str], ImageSet],
    erasures: Iterable[Erasure],
) -> tuple[str, ...]:
    """Where a plan's images are other than somebody may think, and what guided ones cost."""
    guided = _guided(erasures, usual_forwards(plan.generation))
    return (*_of_images(plan, concept, family, sets, images), *dict.fromkeys(guided))


def _guided(erasures: Iterable[Erasure], usual: int) -> Iterator[str]:
    for erasure in erasures:
        if (guide := erasure.guide) is not None:
            what = "weights and" if erasure.changes_weights else "no weights but"
            told = f"{erasure.label} changes {what} how images are sampled"
            forwards = f"{guide.forwards} UNet forwards a step"
            same = guide.forwards == usual
            apart = " Prompts are predicted one by one, each with weights of its own." * erasure.scaled_by_prompts
            how = f", by {forwards} as usual." if same else f": {forwards} where others take {usual}."
            yield told + how + apart


def _of_images(
    plan: Plan,
    concept: Concept,
    family: Family,
    sets: Mapping[str, PromptSet],
    images: Mapping[tuple[str, str], ImageSet],
) -> Iterator[str]:
    if plan.keep_images != "all":
        rest = f" but the first {SAMPLE} of each set and those of overview.png" if plan.keep_images == "sample" else ""
        yield f"keep_images: {plan.keep_images}: images were removed once they were scored{rest}."
    for role, prompts in sets.items():
        wanted, drawn, source = plan.images_of(role), len(images[ORIGINAL, role].jobs), plan.prompts[role].source  # type: ignore[index]
        if wanted is not None and drawn != wanted:
            yield (
                f"prompts.{role}: {drawn} images of each training, not {wanted}: every one of {len(prompts.prompts)} "
                "prompts has the same number."
            )
        if source == "world" and not family.has_world:
            yield (
                f"prompts.{role}: “world” are captions of the embedded model's pictograms; scores over them compare "
                f"with no paper's. Give everyday captions: --prompts {role}=coco_30k.csv ({WHERE['coco_30k.csv']})."
            )
        if source == "wordings" and (
            plain := [one.name for one in concept.each if not (one.word or paraphrases(one.name))]
        ):
            names = ", ".join(map(repr, plain))
            yield f"prompts.{role}: no other words for {names} are known; it is asked for by name."
