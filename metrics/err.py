"""ERR, erasing, retention and robustness in one number (eval-unlearn, of the GenMU challenge)."""

from collections.abc import Mapping, Sequence

from erasebench import (
    ImageScores,
    ImageSet,
    NotApplicable,
    Part,
    ScoringContext,
    SetScore,
    all_of_judge,
    combined,
    harmonic_mean,
    metric,
    with_or_without,
)


@metric(label="ERR", better="higher", prompts="concept", beside=("objects",), clip=True)
def err(images: ImageSet, context: ScoringContext) -> SetScore:
    """The harmonic mean of forgetting, retention and adversarial accuracy; in [0, 1], and 0 where one of them is 0.

    Forgetting: the share of images for prompts that name the concept in which it is not seen. Adversarial: the same for
    prompts that ask for it in other words, in place of eval-unlearn's own adversarial prompts. Retention: the share of
    images for other things in which these are seen. Seen is what is nearer to "an image of X" than to "an image without
    X" in the plan's CLIP model, or what the embedded model's judge gives at least 0.5 (of styles, the most probable).
    eval-unlearn leaves an accuracy of 0 out of the mean, which makes a total failure look better; here it counts.
    The interval is made of the accuracies' own.
    """
    others, concept = context.beside["objects"], context.one_concept()
    named = [context.names_concept(job.text) for job in images.jobs]
    if all(named) or not any(named):
        raise NotApplicable(
            "ERR needs prompts that name the concept and prompts that ask for it in other words, as the set “wordings” "
            "has for built-in concepts"
        )
    texts = [job.template or job.text for job in others.jobs]
    if context.judge is not None:
        classes, styles = all_of_judge(context.judge), context.judge.styles
        if concept.name not in classes.labels:
            raise NotApplicable(f"the judge does not know “{concept.name}”")
        shown = classes.present(images, [concept.name] * len(images.jobs), styles)
        kept = classes.present(others, [classes.asked(text) for text in texts], styles)
    else:
        shown = with_or_without(context.clip(), images, [concept.shown] * len(images.jobs))
        kept = with_or_without(context.clip(), others, [text.removeprefix("a photo of ") for text in texts])
    parts = [
        _part("forgetting", images, shown, named, absent=True),
        _part("retention", others, kept, [True] * len(texts)),
        _part("adversarial", images, shown, [not one for one in named], absent=True),
    ]

    def of(means: Mapping[str, float]) -> float:
        return harmonic_mean(list(means.values()))

    return combined(parts, of, f"{shown.note}; adversarial: the concept in other words", shown.qualifier)


def _part(name: str, images: ImageSet, found: ImageScores, mine: Sequence[bool], absent: bool = False) -> Part:
    """The share of some images in which something is seen, or is not."""
    values = [v if own else None for v, own in zip(found.values, mine, strict=True)]
    details = found.details or [None] * len(values)
    lost = [str(text) for v, text, own in zip(found.values, details, mine, strict=True) if own and v is None]
    return Part(name, images, [1 - v if absent and v is not None else v for v in values], lost)
