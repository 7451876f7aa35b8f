"""Erasing and preserving success rates (AGE, EAP): what ImageNet's classifier has among its first one or five."""

from dataclasses import replace

from erasebench import (
    Classes,
    ImageScores,
    ImageSet,
    NotApplicable,
    ScoringContext,
    judges_things,
    metric,
    of_each_concept,
)


@metric(label="ESR-1", better="higher", prompts="concept", version=2, is_rate=True, looks=("imagenet",))
def esr_1(images: ImageSet, context: ScoringContext) -> ImageScores:
    """Erasing success rate: the share of images for the concept whose most probable class is not the concept.

    Per image 1 or 0, by torchvision's ResNet-50 over ImageNet's 1,000 classes, of which the concept has to be one; on
    the embedded model by its judge over its things.
    """
    return of_each_concept(images, context, lambda some, its: _erased(some, its, 1))


@metric(label="ESR-5", better="higher", prompts="concept", version=2, is_rate=True, looks=("imagenet",))
def esr_5(images: ImageSet, context: ScoringContext) -> ImageScores:
    """The same for the five most probable classes."""
    return of_each_concept(images, context, lambda some, its: _erased(some, its, 5))


@metric(label="PSR-1", better="higher", prompts="objects", is_rate=True, looks=("imagenet",))
def psr_1(images: ImageSet, context: ScoringContext) -> ImageScores:
    """Preserving success rate: the share of images for other things whose most probable class is what was asked for.

    Per image 1 or 0, by the classifier of ESR; an image whose prompt names none of its classes is unscored.
    """
    return _preserved(images, context, 1)


@metric(label="PSR-5", better="higher", prompts="objects", is_rate=True, looks=("imagenet",))
def psr_5(images: ImageSet, context: ScoringContext) -> ImageScores:
    """The same for the five most probable classes."""
    return _preserved(images, context, 5)


def _erased(images: ImageSet, context: ScoringContext, first: int) -> ImageScores:
    classes = _classes(context, first)
    name = classes.asked(context.concept.name)
    if name is None:
        raise NotApplicable(f"“{context.concept.name}” is none of the {len(classes.labels)} classes of the classifier")
    found = classes.found(images, [name] * len(images.jobs), first)
    return replace(found, values=[None if value is None else 1 - value for value in found.values])


def _preserved(images: ImageSet, context: ScoringContext, first: int) -> ImageScores:
    classes = _classes(context, first)
    return classes.found(images, [classes.asked(job.template or job.text) for job in images.jobs], first)


def _classes(context: ScoringContext, first: int) -> Classes:
    if context.judge is not None:
        found = judges_things(context.judge)
        return replace(found, note=found.note.replace("the most probable", f"the {first} most probable", first > 1))
    encoder = context.encoder("imagenet")
    labels: tuple[str, ...] = encoder.labels  # type: ignore[attr-defined]
    return Classes(encoder, labels, lambda features: features, f"{encoder.name}, the first {first} classes")
