"""Drift: fresh seeds raise no alarm, shifts are found in pairs, and what can't be compared is said."""

import numpy as np
import pytest

from erasebench.report.drift.baseline import Baseline, Score, Training, _score
from erasebench.report.drift.verdicts import Outcome, compare_with, exit_status
from erasebench.report.stored_scores import estimate_fields
from erasebench.runs.scores import ScoreRecord
from erasebench.scoring.statistics import combine_set_scores, holm


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


@pytest.mark.slow
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


def test_holm() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])  # Holm's own example
    assert holm([]) == []
