"""How much an image stays what the original model draws from the same seed, at five scales."""

import torch

from erasebench import ImageScores, ImageSet, NotApplicable, ScoringContext, metric, pairs

LEAST = 161  # pixels a side: the window of 11 at the last of five scales, as torchmetrics asks


@metric(label="MS-SSIM", better="higher", prompts="objects", packages=("torchmetrics",))
def ms_ssim(images: ImageSet, context: ScoringContext) -> ImageScores:
    """Multi-scale structural similarity to the original model's image of the same prompt and noise; in [0, 1].

    Wang, Simoncelli and Bovik (Asilomar 2003) as torchmetrics computes it: five scales, a Gaussian window of 11 pixels
    (σ 1.5), each image alone, range 255. It needs 161 pixels a side. Prompts name other concepts than the erased.
    """
    from torchmetrics.functional.image import multiscale_structural_similarity_index_measure as similarity

    if context.row == "original" or context.original is None:
        raise NotApplicable("the original would be compared with itself")
    values: list[float | None] = []
    details: list[str | None] = []
    for file, pair in zip(images.files, pairs(images, context.original), strict=True):
        small = not isinstance(pair, str) and min(pair[0].shape[:2]) < LEAST
        if isinstance(pair, str) or small:
            values.append(None)
            details.append(f"{file.name}: under {LEAST} pixels a side" if small else str(pair))
            continue
        a, b = (torch.tensor(image).permute(2, 0, 1)[None].float() for image in pair)
        values.append(float(similarity(a, b, data_range=255.0)))
        details.append(None)
    if details and all(text is not None and f"under {LEAST} pixels" in text for text in details):
        raise NotApplicable(f"images are too small: five scales need {LEAST} pixels a side")
    return ImageScores(values, note="torchmetrics, five scales, window 11", details=details)
