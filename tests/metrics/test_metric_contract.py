"""The contract of metrics: every registered one keeps it, and each way to break it is named."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from erasebench import ImageScores, ImageSet, NotApplicable, ScoringContext, SetScore, metric, read_image
from erasebench.develop.scaffold import new_metric
from erasebench.erasure.contract import run_checks
from erasebench.registry import METRICS
from erasebench.scoring.contract import CHECKS, MetricSubject


@pytest.mark.slow
@pytest.mark.parametrize("name", METRICS.names())
def test_every_metric_keeps_the_contract(name: str) -> None:
    assert [found for found in run_checks(MetricSubject(METRICS.load(name)), CHECKS) if found.text] == []


def mean(file: Path) -> float:
    image = read_image(file)
    return 0.0 if not isinstance(image, np.ndarray) else float(image.mean())


def as_float(images: ImageSet, context: ScoringContext) -> Any:
    """The mean of all pixels, in [0, 255]."""
    return 0.5


def zero_for_missing(images: ImageSet, context: ScoringContext) -> ImageScores:
    """The mean of all pixels, in [0, 255]."""
    return ImageScores([mean(file) for file in images.files])


def random(images: ImageSet, context: ScoringContext) -> ImageScores:
    """A random number for each image."""
    return ImageScores(list(np.random.default_rng().random(len(images.jobs))))


def too_few(images: ImageSet, context: ScoringContext) -> ImageScores:
    """The mean of all pixels, in [0, 255]."""
    return ImageScores([1.0])


def of_the_batch(images: ImageSet, context: ScoringContext) -> ImageScores:
    """An image's mean less the mean of all that are scored with it."""
    means = np.array([mean(file) for file in images.files])
    return ImageScores(list(means - means.mean()))


def of_the_place(images: ImageSet, context: ScoringContext) -> SetScore:
    """The first image's mean, which stands for all."""
    return SetScore(mean(images.files[0]), len(images.jobs))


def infinite(images: ImageSet, context: ScoringContext) -> SetScore:
    """The mean of all pixels, divided by zero."""
    return SetScore(float("nan"), len(images.jobs))


def raising(images: ImageSet, context: ScoringContext) -> ImageScores:
    """The mean of all pixels, in [0, 255]."""
    raise AttributeError("no such thing")


def undocumented(images: ImageSet, context: ScoringContext) -> ImageScores:
    raise NotApplicable("nothing")


@pytest.mark.parametrize(
    ("score", "message"),
    [
        (as_float, "returned float; return ImageScores or SetScore"),
        (zero_for_missing, "is missing and has the value 0.0: give None"),
        (random, "two calls differ"),
        (too_few, "1 values for 12 images"),
        (of_the_batch, "half of the images are scored"),
        (of_the_place, "the images are in another order"),
        (infinite, "a value is nan"),
        (raising, "AttributeError: no such thing (test_metric_contract.py, line "),
        (undocumented, "docstring is missing"),
    ],
)
def test_what_is_broken_is_named(score: Callable[..., Any], message: str) -> None:
    errors = [
        found.text for found in run_checks(MetricSubject(metric("A", "lower", "objects")(score)), CHECKS) if found.text
    ]
    assert any(message in error for error in errors), errors


def test_fields_are_checked() -> None:
    for fields in ({"label": " "}, {"better": "more"}, {"prompts": "objetcs"}, {"version": 0}, {"digits": 0.5}):
        declared: dict[str, Any] = {"label": "A", "better": "lower", "prompts": "objects", **fields}
        errors = [found.text for found in run_checks(MetricSubject(metric(**declared)(too_few)), CHECKS[:1])]
        assert errors[0] is not None, fields


def test_a_new_metric_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = new_metric("my-metric", tmp_path / "package")
    assert [file.name for file in files] == ["pyproject.toml", "erasebench_my_metric.py", "test_my_metric.py"]
    assert (
        '[project.entry-points."erasebench.metrics"]\nmy_metric = "erasebench_my_metric:my_metric"'
        in files[0].read_text()
    )
    monkeypatch.syspath_prepend(str(tmp_path / "package"))
    import erasebench_my_metric

    made = MetricSubject(erasebench_my_metric.my_metric)
    assert [found.text for found in run_checks(made, CHECKS) if found.text] == []
    found = made.score()
    assert isinstance(found, ImageScores)
    assert all(value is not None and 0 < value < 40 for value in found.values)
