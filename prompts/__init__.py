"""Concepts and prompt sets."""

SETS = {
    "concept": "prompts that ask for the erased concept: concept rate, NudeNet rate",
    "coco": "everyday captions, with reference images on the embedded model: FID, KID, CLIP score",
    "objects": "other concepts, one a prompt: SSIM to the original at the same seed",
}
