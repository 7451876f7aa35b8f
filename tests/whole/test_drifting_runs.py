"""Drift between whole runs: planted changes are caught, the same plan gives the same, and reports say what happened."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from erasebench.cli.app import app
from erasebench.engine.run import run
from erasebench.errors import BenchError
from erasebench.report.drift.baseline import Baseline, Score, baseline_of, read_baseline, write_baseline
from erasebench.report.drift.forms import as_json, as_junit, as_markdown, view
from erasebench.report.drift.set_up import set_up_changes, show
from erasebench.report.drift.verdicts import Outcome, compare_with, exit_status
from erasebench.runs.folder import RunFolder
from erasebench.runs.plan import Generation, Plan
from erasebench.scoring.judge import Judge
from erasebench.storage.files import write_text

PLAN = Plan(
    methods=["esd"],
    metrics=["concept_rate", "kid", "clip_score", "ssim"],
    concept="garbage truck",
    images=6,
    train_steps=6,
    settings={"esd": {"sampler_steps": 4}},
    generation=Generation(steps=4, precision="fp32"),
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    folder = RunFolder(tmp_path_factory.mktemp("drift") / "run")
    assert run(PLAN, folder, "cpu") == ()
    return folder


def again(folder: Path, plan: Plan = PLAN) -> Baseline:
    assert run(plan, RunFolder(folder), "cpu") == ()
    return baseline_of(RunFolder(folder))


def outcomes(baseline: Baseline, other: Baseline) -> dict[tuple[str, str], Outcome]:
    return {(verdict.row, verdict.metric): verdict.verdict for verdict in compare_with(baseline, other)}


def wrong_sign(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("erasebench.methods.esd.target", lambda concept, empty, eta: empty + eta * (concept - empty))


def changed_resize(patch: pytest.MonkeyPatch) -> None:
    plain = Judge.image_features

    def through_half_size(self: Judge, images: Any, batch_size: int = 64) -> np.ndarray:
        small = [Image.fromarray(image).resize((32, 32), Image.Resampling.NEAREST) for image in images]
        return plain(self, [np.asarray(image.resize((64, 64))) for image in small], batch_size)

    patch.setattr(Judge, "image_features", through_half_size)


def changed_threshold(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("erasebench.methods.esd.target", lambda concept, empty, eta: empty - eta * (concept - empty))
    patch.setattr("erasebench.metrics.concept_rate.THRESHOLD", 1.0)


def changed_seed(patch: pytest.MonkeyPatch) -> None:
    from erasebench.images.jobs import image_seed

    patch.setattr("erasebench.images.jobs.image_seed", lambda noise, prompt, k: image_seed(noise + 1, prompt, k))


@pytest.mark.parametrize(
    ("plant", "caught"),
    [
        (wrong_sign, {("esd", "ssim"), ("esd", "clip_score")}),
        (changed_resize, {("original", "clip_score"), ("esd", "clip_score")}),
        (changed_threshold, {("original", "concept_rate")}),
        (changed_seed, {("original", "clip_score"), ("esd", "ssim")}),
    ],
)
def test_a_planted_change_of_the_code_is_caught(
    plant: Callable[[pytest.MonkeyPatch], None],
    caught: set[tuple[str, str]],
    finished: RunFolder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    baseline = baseline_of(finished)
    plant(monkeypatch)
    verdicts = compare_with(baseline, again(tmp_path / "run"))
    drifted = {(verdict.row, verdict.metric) for verdict in verdicts if verdict.verdict == Outcome.DRIFTED}
    assert caught <= drifted
    assert exit_status(verdicts) == 1


def test_the_same_plan_again_is_the_same_bit_by_bit(finished: RunFolder, tmp_path: Path) -> None:
    baseline, other = baseline_of(finished), again(tmp_path / "run")
    assert other.scores == baseline.scores
    verdicts = compare_with(baseline, other)
    assert exit_status(verdicts) == 0
    assert {verdict.reason for verdict in verdicts} == {"identical set-up"}
    first, second = (sorted((folder / "images").glob("[!r]*/**/*.png")) for folder in (finished.root, tmp_path / "run"))
    assert [file.read_bytes() for file in first] == [file.read_bytes() for file in second]
    assert len(first) == 2 * 3 * 6


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"scoring": {"threshold": 0.5}}, "scoring.threshold: 0.7 → 0.5"),
        ({"generation": Generation(steps=3)}, "generation.steps: 4 → 3"),
        ({"images": 5}, "prompts: "),
    ],
)
def test_scores_of_another_meaning_are_not_compared(
    changes: dict[str, Any], reason: str, finished: RunFolder, tmp_path: Path
) -> None:
    plan = Plan(**{**PLAN.model_dump(), "train_steps": 1, **changes})
    verdicts = compare_with(baseline_of(finished), again(tmp_path / "run", plan))
    assert {verdict.verdict for verdict in verdicts} == {Outcome.NOT_COMPARABLE}
    assert all(reason in verdict.reason for verdict in verdicts)
    assert exit_status(verdicts) == 2


OTHER_MACHINES: dict[str, dict[str, Any]] = {
    "another processor": {"device": "another"},
    "other packages": {"package torch": "0.0.1", "package numpy": "0.0.1", "python": "3.99"},
    "other threads": {"threads": 64},
}


def elsewhere(here: Baseline, changed: dict[str, Any], moved: Callable[[float], float]) -> Baseline:
    """The same run on another machine, its scores moved."""
    scores = {
        row: {
            metric: score.model_copy(update={"value": None if score.value is None else moved(score.value)})
            for metric, score in cells.items()
        }
        for row, cells in here.scores.items()
    }
    return here.model_copy(update={"environment": {**here.environment, **changed}, "scores": scores})


@pytest.mark.parametrize("changed", OTHER_MACHINES.values(), ids=OTHER_MACHINES)
def test_another_machine_passes_where_the_numbers_agree(changed: dict[str, Any], finished: RunFolder) -> None:
    """Also a score without an interval: KID over 6 prompts."""
    here = baseline_of(finished)
    assert here.scores["esd"]["kid"].error is None
    verdicts = compare_with(here, elsewhere(here, changed, lambda value: value + 5e-5))
    assert len(verdicts) == 8
    assert exit_status(verdicts) == 0
    assert all(verdict.reason.startswith("agrees; other machine (") for verdict in verdicts)
    assert all(next(iter(changed)) in verdict.reason for verdict in verdicts)
    assert exit_status(compare_with(here, elsewhere(here, {}, lambda value: value + 5e-5))) == 1  # here: to rounding


def test_without_an_interval_a_larger_difference_is_reported_and_may_be_allowed(finished: RunFolder) -> None:
    here = baseline_of(finished)
    there = elsewhere(here, {"device": "another"}, lambda value: value)
    kid = here.scores["esd"]["kid"]
    assert kid.value is not None
    far = {**there.scores["esd"], "kid": kid.model_copy(update={"value": kid.value + 0.01})}
    verdicts = compare_with(here, there.model_copy(update={"scores": {**there.scores, "esd": far}}))
    (found,) = (verdict for verdict in verdicts if verdict.verdict != Outcome.SAME)
    assert (found.metric, found.verdict) == ("kid", Outcome.NOT_COMPARABLE)
    assert found.reason.startswith("further apart than machines are, and the score has no interval; other machine (")
    assert (exit_status(verdicts), exit_status(verdicts, allow_not_comparable=True)) == (2, 0)
    suite = ElementTree.fromstring(as_junit(verdicts, allow_not_comparable=True))
    assert (suite.get("failures"), suite.get("errors"), suite.get("skipped")) == ("0", "0", "1")


def test_definitions_hold_no_path_and_no_key(finished: RunFolder) -> None:
    """What a score means is the same wherever the folders lie."""
    here = baseline_of(finished)
    for facts in (*here.definitions.values(), *here.rows.values()):
        assert not any("/" in str(value) for name, value in facts.items() if name != "scoring.clip")
    assert here.definitions["kid"]["real images"]
    assert here.rows["esd"]["settings.lr"] > 0
    assert here.rows["reference"] == {}


def test_cells_that_come_and_go(finished: RunFolder) -> None:
    here = baseline_of(finished)
    without = here.model_copy(update={"scores": {"original": here.scores["original"]}})
    assert outcomes(here, without)["esd", "ssim"] == Outcome.NOT_COMPARABLE
    assert ("esd", "ssim") not in outcomes(without, here)
    gone = Score(value=None, reason="failed: x", failed=True)
    broken = here.model_copy(update={"scores": {**here.scores, "esd": {**here.scores["esd"], "ssim": gone}}})
    assert outcomes(here, broken)["esd", "ssim"] == Outcome.DRIFTED


def test_reports_agree(finished: RunFolder) -> None:
    here = baseline_of(finished)
    score = here.scores["esd"]["ssim"]
    other = score.model_copy(update={"value": 0.5})
    moved = here.model_copy(update={"scores": {**here.scores, "esd": {**here.scores["esd"], "ssim": other}}})
    verdicts = compare_with(here, moved)
    sheet = view(verdicts, "base|line.json", "run", 0.01)
    text = as_markdown(sheet)
    assert text.startswith(f"**1 drifted, 0 not comparable, {len(verdicts) - 1} same**")
    assert text.splitlines()[4].startswith("| esd | ssim |")
    assert "at most 0.01 (Holm)" in text
    assert "others to 0.001 of the score + 0.0001" in text
    facts = as_json(verdicts, 0.01)
    assert [cell["metric"] for cell in facts["cells"] if cell["verdict"] == "drifted"] == ["ssim"]
    suite = ElementTree.fromstring(as_junit(verdicts))
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == (str(len(verdicts)), "1", "0")
    assert [case.get("name") for case in suite if case.find("failure") is not None] == ["ssim"]


def test_the_commands(finished: RunFolder, tmp_path: Path) -> None:
    runner, file, root = CliRunner(), tmp_path / "base.json", str(finished.root)
    assert runner.invoke(app, ["baseline", root, "--to", str(file)]).exit_code == 0
    written = [str(tmp_path / name) for name in ("a.md", "a.json", "a.xml")]
    options = [part for pair in zip(("--markdown", "--json", "--junit"), written, strict=True) for part in pair]
    result = runner.invoke(app, ["drift", root, "--baseline", str(file), *options])
    assert result.exit_code == 0, result.output
    assert "0 drifted, 0 not comparable" in result.output
    assert all(Path(name).stat().st_size for name in written)
    assert json.loads(Path(written[1]).read_text())["family_wise_error_rate"] == 0.01
    shown = runner.invoke(app, ["show", root]).output
    assert "complete, plan main" in shown
    assert "weights esd/0: " in shown
    assert shown.count("precision of generation: fp32") == 1
    assert "package torch: " in shown
    same = runner.invoke(app, ["diff", root, root])
    assert same.exit_code == 0
    assert "the set-ups are the same" in same.output


def test_two_runs_set_ups(finished: RunFolder, tmp_path: Path) -> None:
    plan = Plan(**{**PLAN.model_dump(), "train_steps": 2, "settings": {"esd": {"sampler_steps": 4, "lr": 1e-4}}})
    again(tmp_path / "run", plan)
    changed = set_up_changes(finished, RunFolder(tmp_path / "run"))
    keys = [line.split(":")[0] for line in changed if not line.startswith("git ")]
    assert set(keys) == {"train_steps", "settings.esd.lr", "weights esd/0"}
    assert changed[0] == "train_steps: 6 → 2"
    assert any(line.startswith("session 1:") for line in show(finished))


def test_wrong_baselines_and_runs(finished: RunFolder, tmp_path: Path) -> None:
    file = tmp_path / "base.json"
    with pytest.raises(BenchError, match="there is no such file"):
        read_baseline(file)
    write_baseline(file, baseline_of(finished))
    assert read_baseline(file) == baseline_of(finished).model_copy(update={"made": read_baseline(file).made})
    write_text(file, file.read_text().replace('"digits": 3', '"digits": 4', 1))
    with pytest.raises(BenchError, match="not as `bench baseline` wrote it"):
        read_baseline(file)
    with pytest.raises(BenchError, match="no run's folder"):
        baseline_of(RunFolder(tmp_path))
