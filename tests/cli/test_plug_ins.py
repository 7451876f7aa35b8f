"""Methods and metrics of other packages: what is wrong with them is said in one line, with file and line."""

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from erasebench import ImageScores, ImageSet, Metric, SetScore
from erasebench.engine.score import score
from erasebench.errors import BenchError
from erasebench.images.jobs import Job
from erasebench.prompts.concepts import get_concept
from erasebench.registry import Registry
from erasebench.report.headings import headings
from erasebench.runs.plan import Plan, Scoring
from erasebench.runs.scores import ScoreRecord
from erasebench.scoring.context import ScoringContext
from erasebench.storage.store import Store


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import os\nimport no_such_package\n", r"No module named 'no_such_package' \(plugin_0\.py, line 2\)"),
        ("x = (1\n", r"SyntaxError: '\(' was never closed \(plugin_1\.py, line 1\)"),
        ("\n\nx = 1 / 0\n", r"ZeroDivisionError: division by zero \(plugin_2\.py, line 3\)"),
        ("def other(): ...\n", r"AttributeError: module 'plugin_3' has no attribute 'found'"),
        ("def found(): ...\n", r"not registered: put @method\(…\) above the function"),
    ],
)
def test_a_plug_in_that_cannot_be_loaded_says_where(
    source: str, message: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = f"plugin_{request.node.callspec.indices['source']}"
    (tmp_path / f"{module}.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    point = SimpleNamespace(name="found", dist=None, module=module, attr="found", group="erasebench.methods")
    monkeypatch.setattr("erasebench.registry.entry_points", lambda group: [point])
    registry = Registry("method")
    assert "found" in registry.entries()  # listing it imports nothing
    with pytest.raises(BenchError, match=message):
        registry.load("found")


def scored(tmp_path: Path, result: Any, prompts: str | None = "coco") -> ScoreRecord:
    metric = Metric("Mine", "higher", prompts, lambda images, context: result)
    jobs = [Job(f"p{k}", "a cat", 0, k) for k in range(3)]
    images = None if prompts is None else ImageSet("esd", "coco", tmp_path, jobs, "key")
    context = ScoringContext(
        get_concept("cat"), "esd", None, None, None, lambda: None, lambda: None, [], Scoring(clip="judge")
    )  # type: ignore[arg-type]
    return score(Store(tmp_path), "mine", metric, context, images)


@pytest.mark.parametrize(
    ("result", "prompts", "message"),
    [
        (0.5, "coco", "the metric 'mine' returned float: return ImageScores with one value an image, or SetScore"),
        ([0.5] * 3, "coco", "returned list: return ImageScores"),
        (ImageScores([0.5]), None, "one that scores no images .* returns SetScore"),
        (ImageScores([0.5, 0.5]), "coco", "2 values, 3 details and 3 of a second judge for 3 images: return one each"),
    ],
)
def test_a_metric_that_returns_something_else_is_told_what_to_return(
    result: Any, prompts: str | None, message: str, tmp_path: Path
) -> None:
    with pytest.raises(BenchError, match=message):
        scored(tmp_path, result, prompts)


def test_a_value_that_is_not_finite_costs_its_image_alone(tmp_path: Path) -> None:
    record = scored(tmp_path, ImageScores([0.25, math.nan, 0.75]))
    assert (record.value, record.n) == (0.5, 2)
    assert record.unscored == ("p1-0.png: its value is nan",)
    assert scored(tmp_path / "set", SetScore(math.inf, 3)).failure == "the score is inf"


def test_a_column_whose_cells_all_failed_keeps_its_heading() -> None:
    plan = Plan(methods=["esd"], metrics=["fid", "clip_score", "elsewhere"], images=1)
    found = headings({}, plan.metrics)
    assert [heading.with_arrow for heading in found.values()] == ["FID ↓", "CLIP score ↑", "elsewhere ↑"]
