"""Drift: planted changes are caught, fresh seeds raise no alarm, and reports say what happened."""

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
from erasebench.report.drift.baseline import (
    Baseline,
    Score,
    Training,
    _score,
    baseline_of,
    read_baseline,
    write_baseline,
)
from erasebench.report.drift.forms import as_json, as_junit, as_markdown, view
from erasebench.report.drift.set_up import set_up_changes, show
from erasebench.report.drift.verdicts import Outcome, compare_with, exit_status
from erasebench.report.stored_scores import estimate_fields
from erasebench.runs.folder import RunFolder
from erasebench.runs.plan import Generation, Plan
from erasebench.runs.scores import ScoreRecord
from erasebench.scoring.judge import Judge
from erasebench.scoring.statistics import combine_set_scores, holm
from erasebench.storage.files import write_text

PLAN = Plan(
    methods=["esd"],
    metrics=["concept_rate", "kid", "clip_score", "ssim"],
    concept="garbage truck",
    images=6,
    train_steps=6,
    generation=Generation(steps=6, precision="fp32"),
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
        ({"generation": Generation(steps=5)}, "generation.steps: 6 → 5"),
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


def fabricated(
    rng: np.random.Generator, shift: float = 0.0, seeds: int = 4, cells: int = 12, prompts: int = 20
) -> Baseline:
    """A run whose cells scatter over prompts (the same in every run) and trainings, with different widths."""
    first, scores = int(rng.integers(1_000_000)), {}
    for k in range(cells):
        easy = np.random.default_rng(k).normal(0.5 + shift * (k == 0), 0.2, prompts)
        parts = {}
        for seed in range(first, first + seeds):
            drawn = easy + rng.normal(0, 0.02 * (1 + k % 3)) + rng.normal(0, 0.05, prompts)
            means = {f"p{j}": float(value) for j, value in enumerate(drawn)}
            parts[str(seed)] = Training(value=float(drawn.mean()), means=means)
        value = float(np.mean([part.value for part in parts.values()]))
        scores[f"metric {k}"] = Score(value=value, trainings=parts)
    return Baseline(
        name="x",
        made="",
        definitions={name: {} for name in scores},
        rows={"esd": {"training seeds": str(first)}},
        environment={},
        scores={"esd": scores},
    )


def test_fresh_seeds_raise_no_more_false_alarms_than_stated() -> None:
    """400 pairs of runs that differ by their seeds alone, at 5 % over all 12 cells."""
    rng = np.random.default_rng(0)
    alarms = sum(exit_status(compare_with(fabricated(rng), fabricated(rng), 0.05)) for _ in range(400))
    assert alarms <= 30  # 20 expected at most; 30 or more of 400 has a probability of 0.02
    missed = sum(exit_status(compare_with(fabricated(rng), fabricated(rng, 0.3), 0.05)) == 0 for _ in range(50))
    assert missed == 0


def test_fresh_trainings_need_seeds_on_both_sides() -> None:
    rng = np.random.default_rng(0)
    verdicts = compare_with(fabricated(rng), fabricated(rng, seeds=1))
    assert {verdict.verdict for verdict in verdicts} == {Outcome.NOT_COMPARABLE}
    assert "two or more a side" in verdicts[0].reason


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


def shifted(here: Baseline, shift: float, rng: np.random.Generator) -> Baseline:
    """Another machine, on which every prompt's mean moved by `shift` and a little noise."""
    cells = {}
    for metric, score in here.scores["esd"].items():
        parts = {}
        for seed, part in score.trainings.items():
            means = {cluster: mean + shift + rng.normal(0, 0.005) for cluster, mean in part.means.items()}
            parts[seed] = Training(value=float(np.mean(list(means.values()))), means=means)
        value = float(np.mean([part.value for part in parts.values()]))
        cells[metric] = score.model_copy(update={"value": value, "trainings": parts})
    return here.model_copy(update={"environment": {"device": "another"}, "scores": {"esd": cells}})


def test_the_same_prompts_are_compared_in_pairs() -> None:
    """A shift of a tenth of the spread over prompts: lost between two intervals, plain in pairs."""
    rng = np.random.default_rng(0)
    here = fabricated(rng, seeds=1, cells=1)
    verdicts = compare_with(here, shifted(here, 0.02, rng))
    assert [verdict.verdict for verdict in verdicts] == [Outcome.DRIFTED]
    (part,) = here.scores["esd"]["metric 0"].trainings.values()
    assert 1.96 * np.std(list(part.means.values())) / len(part.means) ** 0.5 > 0.02
    alarms = sum(exit_status(compare_with(here, shifted(here, 0.0, rng), 0.05)) for _ in range(100))
    assert alarms <= 10


def of_a_set(rng: np.random.Generator, shift: float = 0.0, seeds: tuple[int, ...] = (0,), spread: float = 0.0) -> Score:
    """A set's score such as KID: what groups of prompts do to it is the same in every run but for a little noise."""
    groups, parts = np.random.default_rng(9).normal(0, 0.05, 20), {}
    for seed in seeds:
        value = 1.0 + shift + rng.normal(0, spread)
        left_out = value + groups + rng.normal(0, 1e-4, 20)
        parts[str(seed)] = {"seed": seed, "value": value, "replicates": list(left_out)}
    found = combine_set_scores(
        {seed: parts[str(seed)]["value"] for seed in seeds},
        {seed: parts[str(seed)]["replicates"] for seed in seeds},
        400,
    )
    trainings = tuple(parts.values())
    record = ScoreRecord(
        row="esd", metric="kid", label="KID", better="lower", trainings=trainings, **estimate_fields(found)
    )
    return _score(record)


def run_of(score: Score, seeds: str = "0", device: str = "one") -> Baseline:
    return Baseline(
        name="x",
        made="",
        definitions={"kid": {}},
        rows={"esd": {"training seeds": seeds}},
        environment={"device": device},
        scores={"esd": {"kid": score}},
    )


def test_a_sets_score_is_kept_by_training_with_its_error() -> None:
    """The record's own error and freedom, not the interval's width by a normal distribution."""
    score = of_a_set(np.random.default_rng(0), seeds=(0, 1, 2), spread=0.02)
    assert list(score.trainings) == ["0", "1", "2"]
    assert [len(part.replicates) for part in score.trainings.values()] == [20, 20, 20]
    found = combine_set_scores(
        {seed: part.value for seed, part in score.trainings.items()},  # type: ignore[misc]
        {seed: part.replicates for seed, part in score.trainings.items()},  # type: ignore[misc]
        400,
    )
    assert (score.error, score.freedom) == (found.error, found.freedom)
    assert score.error is not None
    assert found.low is not None
    assert found.high is not None
    assert found.high - found.low > 2 * 1.96 * score.error


def test_sets_scores_are_compared_in_pairs() -> None:
    """A difference far inside both intervals, with the same groups left out: found in pairs."""
    rng = np.random.default_rng(0)
    for seeds in ((0,), (0, 1, 2)):
        here, there = of_a_set(rng, seeds=seeds), of_a_set(rng, 0.05, seeds)
        assert here.error is not None
        assert here.error > 0.05
        (found,) = compare_with(run_of(here), run_of(there, device="another"))
        assert (found.verdict, found.reason.split(" over ")[0]) == (Outcome.DRIFTED, "paired jackknife")
        assert found.difference == pytest.approx(0.05)
    parts = {"-": here.trainings["0"]}
    alone = here.model_copy(update={"trainings": parts})
    (same,) = compare_with(run_of(alone), run_of(alone.model_copy(update={"value": 1.1}), device="another"))
    assert (same.verdict, same.reason.split("; ")[0]) == (Outcome.SAME, "paired jackknife over 20 groups of prompts")


def test_sets_scores_of_other_trainings_are_tested_with_the_scatter_between_them() -> None:
    """What is plain with the same trainings is chance with others that scatter as much."""
    rng = np.random.default_rng(0)
    level, alarms = 0.05, 0
    for _ in range(300):
        here, there = of_a_set(rng, 0, (0, 1, 2), 0.05), of_a_set(rng, 0, (3, 4, 5), 0.05)
        (found,) = compare_with(run_of(here, "0 1 2"), run_of(there, "3 4 5"), level)
        assert found.reason.startswith(("Welch's test over trainings", "agrees"))
        alarms += found.verdict == Outcome.DRIFTED
    assert alarms <= 24  # 15 expected at most; more than 24 of 300 has a probability of 0.01
    here, there = of_a_set(rng, 0, (0, 1, 2), 0.05), of_a_set(rng, 1.0, (3, 4, 5), 0.05)
    (found,) = compare_with(run_of(here, "0 1 2"), run_of(there, "3 4 5"))
    assert found.verdict == Outcome.DRIFTED
    (found,) = compare_with(run_of(of_a_set(rng)), run_of(of_a_set(rng, 1.0, (7,)), "7"))
    assert (found.verdict, "two or more a side" in found.reason) == (Outcome.NOT_COMPARABLE, True)


def test_too_few_prompts_are_said_to_be_too_few() -> None:
    """Signs of five prompts can't be rarer than 1 in 16, whatever happened."""
    rng = np.random.default_rng(0)
    here = fabricated(rng, seeds=1, cells=1, prompts=5)
    verdicts = compare_with(here, shifted(here, 0.5, rng))
    assert [verdict.verdict for verdict in verdicts] == [Outcome.NOT_COMPARABLE]
    assert "5 prompts are too few for a test" in verdicts[0].reason


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


def test_holm() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])  # Holm's own example
    assert holm([]) == []


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
    plan = Plan(**{**PLAN.model_dump(), "train_steps": 2, "settings": {"esd": {"lr": 1e-4}}})
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
