"""Image sets and contexts to score in tests."""

from dataclasses import asdict
from pathlib import Path

import numpy as np

from erasebench import ImageSet, ScoringContext
from erasebench.images.files import read_image, write_png
from erasebench.images.jobs import Job
from erasebench.models.cost import Cost
from erasebench.prompts.concepts import Concept, get_concept
from erasebench.runs.plan import Scoring
from erasebench.scoring.contract import FewFeatures
from erasebench.scoring.judge import Judge

COST = {**asdict(Cost(10, 2.5, 99, 12, 512.0)), "workers": 1}


def image_set(folder: Path, images: list[np.ndarray], texts: list[str], row: str = "esd") -> ImageSet:
    folder.mkdir(parents=True)
    jobs = [Job(f"p{k:03d}", text, 0, k) for k, text in enumerate(texts)]
    for job, image in zip(jobs, images, strict=True):
        write_png(folder / job.file_name, image)
    return ImageSet(row, "coco", folder, jobs, "key")


def context_of(
    judge: Judge | None, concept: str | Concept = "cat", kind: str | None = None, **changes: object
) -> ScoringContext:
    given = {
        "concept": get_concept(concept, kind) if isinstance(concept, str) else concept,
        "row": "esd",
        "original": None,
        "reference": None,
        "judge": judge,
        "clip": lambda: judge,
        "distance": lambda: few(judge),
        "costs": [COST],
        "scoring": Scoring(clip="judge"),
        "spectrum": lambda: np.full((5, 2, 2), 1e-3),
        "others": None,
        "encoder": lambda look: judge,
        "beside": dict.fromkeys(("objects", "styles"), changes.get("original")),
    }
    return ScoringContext(**{**given, **changes})  # type: ignore[arg-type]


WIDTH = 32  # of the features for distances: sixty images are fewer than the judge's 128


def few(judge: Judge) -> FewFeatures:
    return FewFeatures(judge, WIDTH)


def pixels(images: ImageSet) -> list[np.ndarray]:
    return [read_image(file) for file in images.files]  # type: ignore[misc]


class Features:
    """A vision whose images are known by their files."""

    name, revision, qualifier, unit_scale = "known", "1", "", False


def known(features: np.ndarray, prompts: list[str], row: str = "esd") -> ImageSet:
    """An image set without files whose features are given."""
    jobs = [Job(prompt, prompt, k, 0) for k, prompt in enumerate(prompts)]
    images = ImageSet(row, "coco", Path(row), jobs, f"{row} {features.sum()}")
    images.features = lambda vision: features  # type: ignore[method-assign]
    return images
