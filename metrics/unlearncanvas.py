"""UnlearnCanvas's accuracies (arXiv 2402.11846): of the erased, of what is like it, and of the other domain."""

from dataclasses import replace

from erasebench import (
    Classes,
    ImageScores,
    ImageSet,
    NotApplicable,
    ScoringContext,
    judges_styles,
    judges_things,
    metric,
    of_each_concept,
)

DOMAINS = {"style": ("styles", "objects"), "object": ("objects", "styles")}


@metric(
    label="UA", better="higher", prompts="concept", version=2, is_rate=True, looks=("canvas objects", "canvas styles")
)
def ua(images: ImageSet, context: ScoringContext) -> ImageScores:
    """Unlearning accuracy: the share of images, drawn for the erased style or object, that are not taken for it.

    Per image 1 or 0, by UnlearnCanvas's classifier of the concept's domain, styles or objects; on the embedded model by
    its judge, among its styles or its things. For styles and objects.
    """
    return of_each_concept(images, context, _unlearned)


@metric(
    label="IRA", better="higher", prompts="styles", version=2, is_rate=True, looks=("canvas objects", "canvas styles")
)
def ira(images: ImageSet, context: ScoringContext) -> ImageScores:
    """In-domain retain accuracy: the share of images of other styles (objects) that are taken for what was asked for.

    Per image 1 or 0, by the classifier that UA asks; prompts name another style and another object.
    """
    return _retained(images, context, 0)


@metric(
    label="CRA", better="higher", prompts="styles", version=2, is_rate=True, looks=("canvas objects", "canvas styles")
)
def cra(images: ImageSet, context: ScoringContext) -> ImageScores:
    """Cross-domain retain accuracy: of the same images, by the other classifier: of objects where a style is erased.

    Per image 1 or 0. The authors' code takes images of the erased style too; these are left out here.
    """
    return _retained(images, context, 1)


def _unlearned(images: ImageSet, context: ScoringContext) -> ImageScores:
    classes = _classes(context, _domain(context), 0)
    name = _of_classes(context.concept.name, classes)
    found = classes.found(images, [name] * len(images.jobs))
    return replace(found, values=[None if value is None else 1 - value for value in found.values])


def _retained(images: ImageSet, context: ScoringContext, which: int) -> ImageScores:
    domain = _domain(context)
    for concept in context.concept.each:
        _of_classes(concept.name, _classes(context, domain, 0))
    classes = _classes(context, domain, which)
    return classes.found(images, [classes.asked(job.text) for job in images.jobs])


def _domain(context: ScoringContext) -> str:
    """What is erased: "style" or "object"."""
    kinds = {concept.kind for concept in context.concept.each}
    if "nudity" in kinds:
        raise NotApplicable("UnlearnCanvas erases styles and objects, not nudity")
    domains = {"style" if kind == "style" else "object" for kind in kinds}
    if len(domains) > 1:
        raise NotApplicable("styles and objects are erased at once, so that neither is the domain of what is retained")
    return domains.pop()


def _classes(context: ScoringContext, erased: str, which: int) -> Classes:
    """Of the erased domain (0) or of the other one (1)."""
    domain = DOMAINS[erased][which]
    if context.judge is not None:
        return judges_styles(context.judge) if domain == "styles" else judges_things(context.judge)
    encoder = context.encoder("canvas styles" if domain == "styles" else "canvas objects")
    labels: tuple[str, ...] = encoder.labels  # type: ignore[attr-defined]
    return Classes(encoder, labels, lambda features: features, f"{encoder.name} {encoder.revision[:16]}")


def _of_classes(concept: str, classes: Classes) -> str:
    """The concept as one of the classes."""
    name = classes.asked(concept)
    if name is None:
        raise NotApplicable(f"“{concept}” is none of the {len(classes.labels)} classes of the classifier")
    return name
