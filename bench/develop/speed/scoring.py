"""How fast each stage of an evaluation is on this machine: images a second, from drawing to the last metric."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from erasebench.prompts.concepts import get_concept

from ...errors import NotApplicable, NotScored
from ...images.drawing import generate
from ...images.files import stream
from ...images.image_set import Encoder, ImageSet
from ...images.jobs import Job, image_seed
from ...models.catalog import find_model
from ...models.families import family_of
from ...models.loading import load_model
from ...models.text_to_image import TextToImage
from ...registry import METRICS
from ...runs.plan import Plan
from ...scoring.context import ScoringContext
from ...scoring.metric import Metric
from ...scoring.nudenet import detector

SETTINGS = {"scheduler": "dpm++", "steps": 12, "guidance": 5.0, "batch_size": 32}


def measure_scoring(model_name: str, device: str, images: int) -> Iterator[str]:
    """Lines of a table: each stage's images a second, once; what it needs from an earlier stage is not counted again.

    Metrics share encoders: the second one that uses an encoder finds its features there.
    """
    model = load_model(find_model(model_name), device)
    clip, distance, judge = _encoders(model_name, device)
    detector(device)  # loading is no part of a stage
    yield f"{model_name} on {device}, {images} images of {model.image_size} pixels, {SETTINGS['steps']} steps"
    yield f"{'stage':<34}{'seconds':>9}{'images a second':>17}"
    with tempfile.TemporaryDirectory() as folder:
        texts = [f"a photo of a {word}" for word in ("cat", "bus", "church", "woman", "guitar", "boat", "house", "dog")]
        jobs = [Job(f"p-{k:05d}", texts[k % len(texts)], 0, image_seed(0, str(k), 0)) for k in range(images)]
        drawn = ImageSet("esd", "coco", Path(folder), jobs, "drawn")
        yield _line("draw, decode, write", images, lambda: _draw(model, drawn))
        yield _line("read", images, lambda: sum(1 for _ in stream(drawn.files)))
        real = replace(drawn, row="reference", own_key="real", _seen={})
        context = ScoringContext(
            get_concept("nudity"),
            "esd",
            drawn,
            real,
            judge,
            clip,
            distance,
            [],
            Plan(metrics=["ssim"], methods=["uce"], images=1, model=model_name).scoring,
            device=device,
        )
        for name in METRICS.usual():
            metric: Metric = METRICS.load(name)
            if metric.prompts is None:
                continue
            if name == "fid":
                yield from _features(real, distance, "real images' features", images)
            try:
                yield _line(name, images, _scoring(metric, drawn, context))
            except (NotApplicable, NotScored) as reason:
                yield f"{name:<34}  {reason}"


def _features(images: ImageSet, encoder: Callable[[], Encoder], name: str, count: int) -> Iterator[str]:
    try:
        encoder()
    except NotScored:
        return
    yield _line(name, count, lambda: images.features(encoder()))


def _scoring(metric: Metric, images: ImageSet, context: ScoringContext) -> Callable[[], object]:
    return lambda: metric.score(images, context)


def _draw(model: TextToImage, images: ImageSet) -> int:
    return generate(model, images.jobs, images.folder, **SETTINGS)  # type: ignore[arg-type]


def _line(name: str, images: int, work: Callable[[], object]) -> str:
    began = time.perf_counter()
    work()
    seconds = time.perf_counter() - began
    return f"{name:<34}{seconds:>9.2f}{images / seconds:>17.1f}"


def _encoders(model_name: str, device: str) -> tuple[Callable[[], Encoder], Callable[[], Encoder], Any]:
    """The CLIP model, the features for distances, and the judge, as a run of this model would take them."""
    if family_of(model_name).has_world:
        from ...scoring.judge import Judge

        judge = Judge(device)
        judge.image_features([np.zeros((64, 64, 3), np.uint8)])  # warm
        return (lambda: judge), (lambda: judge), judge
    from ...scoring.encoders import CleanFidInception, OpenClip

    return cache(lambda: OpenClip(family_of(model_name).clip, device)), cache(lambda: CleanFidInception(device)), None
