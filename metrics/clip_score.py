"""How well images match their captions."""

from erasebench import ImageScores, ImageSet, NotApplicable, ScoringContext, metric, text_cosines


@metric(
    label="CLIP score",
    better="higher",
    prompts="coco",
    digits=4,
    with_reference=True,
    version=2,
    clip=True,
    looks=("clip",),
)
def clip_score(images: ImageSet, context: ScoringContext) -> ImageScores:
    """Cosine of the image's and the caption's embedding (CLIP, arXiv 2103.00020), as a fraction in [-1, 1].

    By open_clip, model and weights in the note, or on the embedded model by its judge.
    The plain cosine, not CLIPScore (arXiv 2104.08718), which is 2.5 · max(cosine, 0). Captions that
    are longer than the text encoder's 77 tokens are truncated, and counted in the note.
    """
    if not images.jobs:
        raise NotApplicable("these images have no captions")
    return text_cosines(images, context.clip(), [job.text for job in images.jobs])
