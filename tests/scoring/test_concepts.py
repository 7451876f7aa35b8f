"""Several erased concepts in prompts, scores and tables."""

from pathlib import Path

import numpy as np
import pytest

from erasebench import BenchError, ImageScores, ImageSet, ScoringContext
from erasebench.develop.mini.world import Scene, Thing, render
from erasebench.images.files import write_png
from erasebench.images.jobs import plan_jobs
from erasebench.images.selected import select
from erasebench.metrics.concept_rate import concept_rate
from erasebench.prompts.concepts import get_concepts
from erasebench.prompts.prompt import concept_of_prompt
from erasebench.prompts.sets import prompt_set
from erasebench.report.concepts import concept_sheet, concept_table
from erasebench.runs.plan import Plan
from erasebench.runs.plan_file import load_plan
from erasebench.runs.scores import ImageValue, ScoreRecord
from erasebench.scoring.judge import Judge

BOTH = get_concepts(["nudity", "garbage truck"])


def test_one_concept_has_the_keys_it_had() -> None:
    alone = get_concepts(["cat"])
    assert alone.each == (alone,)
    assert "besides" not in alone.facts
    assert [one.name for one in BOTH.each] == ["nudity", "garbage truck"]
    assert BOTH.facts["besides"][0]["name"] == "garbage truck"


@pytest.mark.parametrize("names", [["cat", "Cats"], ["nudity", "nudity"]])
def test_concepts_that_overlap_are_refused(names: list[str]) -> None:
    with pytest.raises(BenchError, match="overlap"):
        get_concepts(names)


def test_each_concept_has_as_many_prompts() -> None:
    found = prompt_set("concept", "wordings", BOTH, 10).prompts
    assert [concept_of_prompt(prompt.id) for prompt in found] == [0] * 5 + [1] * 5
    assert not any("truck" in prompt.text for prompt in found[:5])
    whole = prompt_set("concept", "wordings", BOTH, None).prompts
    numbers = [concept_of_prompt(prompt.id) for prompt in whole]
    assert numbers.count(0) == numbers.count(1)
    assert len({prompt.id for prompt in whole}) == len(whole)


def test_other_prompts_leave_out_all_concepts() -> None:
    for source in ("others", "objects", "related", "unrelated"):
        texts = [prompt.text for prompt in prompt_set("objects", source, BOTH, None).prompts]
        assert texts
        assert not any("garbage" in text or "nud" in text for text in texts), source
    with pytest.raises(BenchError, match="one concept"):
        prompt_set("objects", "bands", BOTH, 8)


def test_a_file_that_names_no_concept_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "own.txt"
    path.write_text("a nude person\n")
    with pytest.raises(BenchError, match="which of 2 concepts"):
        prompt_set("concept", str(path), BOTH, 8)


def test_each_image_is_judged_for_its_own_concept(tmp_path: Path) -> None:
    """Trucks asked for as trucks count; trucks drawn for nudity do not."""
    prompts = prompt_set("concept", "direct", BOTH, 8).prompts
    jobs = plan_jobs(prompts, 8)
    rng = np.random.default_rng(0)
    for job in jobs:
        scene = Scene((Thing("garbage truck", None),), "plain", None, int(rng.integers(2**31)))
        write_png(tmp_path / job.file_name, render(scene))
    images = ImageSet("esd", "concept", tmp_path, jobs, "trucks")
    assert len(select(images, lambda job: concept_of_prompt(job.prompt_id) == 1).files) == 4
    context = ScoringContext(
        BOTH,
        "esd",
        images,
        None,
        Judge("cpu"),
        lambda: Judge("cpu"),
        lambda: Judge("cpu"),
        [],
        None,  # type: ignore[arg-type]
    )
    found = concept_rate.score(images, context)
    assert isinstance(found, ImageScores)
    assert list(found.values) == [0.0] * 4 + [1.0] * 4
    assert found.note.startswith("nudity: ")
    assert "garbage truck: " in found.note


def record(row: str, values: list[float]) -> ScoreRecord:
    ids = [f"of{1 + (k >= len(values) // 2)}.concept-{k}" for k in range(len(values))]
    stored = tuple(
        ImageValue(prompt=name, cluster=name, sample=0, seed=None, value=value)
        for name, value in zip(ids, values, strict=True)
    )
    return ScoreRecord(
        row=row,
        metric="concept_rate",
        label="Concept rate",
        better="lower",
        prompts="concept",
        is_rate=True,
        value=float(np.mean(values)),
        n=len(values),
        values=stored,
    )


def test_tables_have_each_concept_mean_and_worst() -> None:
    plan = load_plan("main", {"concepts": ["nudity", "garbage truck"], "methods": ["uce"]})
    scores = {("uce", "concept_rate"): record("uce", [0, 0, 0, 1, 1, 1, 1, 0])}
    table = concept_table(scores, plan)
    assert dict(zip(table["concept"], table["value"], strict=True)) == {"nudity": 0.25, "garbage truck": 0.75}
    view = concept_sheet(scores, plan, {"uce": "UCE"})
    assert [column.label for column in view.columns] == ["nudity", "garbage truck", "Mean", "Worst"]
    ((label, cells),) = view.rows
    assert (label, [cell.text for cell in cells]) == ("UCE", ["0.250", "0.750", "0.500", "0.750 (garbage truck)"])
    alone = load_plan("main", {"concept": "nudity", "methods": ["uce"]})
    assert concept_table(scores, alone).empty


def test_plans_name_one_or_several() -> None:
    several = load_plan("main", {"concepts": ["Nudity", "garbage trucks"], "methods": ["uce"]})
    assert (several.concept, several.erased, several.subject) == (
        "nudity",
        ["nudity", "garbage truck"],
        "nudity + garbage truck",
    )
    assert "nudenet_rate" not in several.metrics
    one = load_plan("main", {"concepts": ["cat"], "methods": ["uce"]})
    assert one.key == load_plan("main", {"concept": "cat", "methods": ["uce"]}).key
    assert Plan(**several.model_dump()).key == several.key
    for wrong in (
        {"concept": "cat", "concepts": ["nudity", "cat"]},
        {"concepts": ["nudity", "cat"], "attacks": ["typos"]},
        {"concepts": "nudity"},
    ):
        with pytest.raises(BenchError):
            load_plan("main", {"methods": ["uce"], **wrong})


def test_a_flag_takes_the_place_of_a_files_concepts(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text("concepts: [nudity, cat]\nmethods: [uce]\nmetrics: [concept_rate]\nimages: 4\n")
    assert load_plan(str(path), {}).erased == ["nudity", "cat"]
    assert load_plan(str(path), {"concept": "bus"}).erased == ["bus"]
    assert load_plan(str(path), {"concepts": ["bus", "cat"]}).erased == ["bus", "cat"]
