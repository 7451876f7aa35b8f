"""Tables and intervals: the same numbers everywhere; ties, nulls and missing cells shown."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from erasebench.layout import RunFolder
from erasebench.plan import Plan
from erasebench.stats import bootstrap_interval
from erasebench.store import write_json
from erasebench.tables import footnotes, headings, latex, leaderboard, markdown, ranks, read_scores, write_tables

PLAN = Plan(methods=["esd", "sdd", "uce"], metrics=["concept_rate", "ssim", "train_steps"], images=4, seeds=[0, 1])
ROWS = ("original", "esd", "sdd", "uce", "reference")
LABELS = {"original": "Original", "esd": "ESD", "sdd": "SDD", "uce": "UCE & co", "reference": "Real images"}


def record(row: str, metric: str, value: float | None, better: str, **extra: Any) -> dict[str, Any]:
    return {
        "row": row, "metric": metric, "label": metric.title(), "better": better, "value": value, "low": value,
        "high": value, "n": 0 if value is None else 4, "unscored": 0, "note": "", "reason": "",
        "qualifier": "", "digits": 0 if metric == "train_steps" else 3, "is_cost": metric == "train_steps", **extra,
    }  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    run = RunFolder(tmp_path)
    rates = {"original": 1.0, "esd": 0.1234, "sdd": 0.1230, "uce": 0.5}
    for row, value in rates.items():
        write_json(run.score(row, "concept_rate"), record(row, "concept_rate", value, "lower", note="a judge"))
    for row, value in {"esd": 0.7, "sdd": 0.9, "uce": None}.items():
        reason = "too small" if value is None else ""
        write_json(run.score(row, "ssim"), record(row, "ssim", value, "higher", reason=reason, unscored=row == "uce"))
    write_json(run.score("esd", "train_steps"), record("esd", "train_steps", 100, "lower"))
    return run


def test_the_csv_has_the_promised_columns(folder: RunFolder) -> None:
    write_tables(folder, PLAN, ROWS, LABELS)
    with folder.table("csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    metrics = [f"{m}{side}" for m in PLAN.metrics for side in ("", "_low", "_high", "_n")]
    assert list(lines[0]) == ["row", "label", "model", "concept", "seeds", *metrics]
    assert [line["row"] for line in lines] == list(ROWS)
    assert lines[1]["concept_rate"] == "0.1234"
    assert lines[0]["seeds"] == "0 1"
    assert (lines[3]["ssim"], lines[3]["ssim_n"]) == ("", "0")


def test_ties_by_shown_value_share_a_mark_and_oracles_are_not_ranked(folder: RunFolder) -> None:
    scores = read_scores(folder, ROWS, PLAN.metrics)
    table, heads = leaderboard(scores, PLAN, ROWS, LABELS), headings(scores, PLAN)
    assert ranks(table, "concept_rate", heads["concept_rate"]) == {"esd": 1, "sdd": 1, "uce": 2}
    assert ranks(table, "ssim", heads["ssim"]) == {"sdd": 1, "esd": 2}
    assert ranks(table, "train_steps", heads["train_steps"]) == {}


def test_markdown_and_latex_mark_and_escape(folder: RunFolder) -> None:
    scores = read_scores(folder, ROWS, PLAN.metrics)
    table = leaderboard(scores, PLAN, ROWS, LABELS)
    text = markdown(scores, table, PLAN)
    assert "| ESD | **0.123** | <u>0.700</u> | 100 |" in text
    assert "| UCE & co | <u>0.500</u> | — | — |" in text
    tex = latex(scores, table, PLAN)
    assert r"ESD & \textbf{0.123} & \underline{0.700} & 100 \\" in tex
    assert r"UCE \& co" in tex
    assert tex.count(r"\\") == len(ROWS) + 1
    notes = "\n".join(footnotes(scores, PLAN))
    assert "1 images unscored" in notes
    assert "too small" in notes
    assert "a judge" in notes


def test_a_plugged_in_metric_is_printed_as_it_asks(folder: RunFolder) -> None:
    plan = PLAN.model_copy(update={"metrics": ["mine"]})
    write_json(folder.score("esd", "mine"), record("esd", "mine", 0.5, "lower", digits=1, qualifier="judge"))
    scores = read_scores(folder, ROWS, plan.metrics)
    text = markdown(scores, leaderboard(scores, plan, ROWS, LABELS), plan)
    assert "| Mine (judge) ↓ |" in text
    assert "| ESD | 0.5 |" in text


def test_tables_are_a_pure_function_of_the_scores(folder: RunFolder) -> None:
    write_tables(folder, PLAN, ROWS, LABELS)
    first = [folder.table(suffix).read_bytes() for suffix in ("csv", "md", "tex")]
    write_tables(folder, PLAN, ROWS, LABELS)
    assert first == [folder.table(suffix).read_bytes() for suffix in ("csv", "md", "tex")]


@given(st.lists(st.tuples(st.floats(-1, 1), st.sampled_from("abcdef")), min_size=1, max_size=40))
def test_intervals_hold_the_mean(pairs: list[tuple[float, str]]) -> None:
    values, prompts = [v for v, _ in pairs], [p for _, p in pairs]
    result = bootstrap_interval(values, prompts)
    assert result is not None
    mean, low, high, n = result
    assert n == len(pairs)
    assert mean == pytest.approx(np.mean(values))
    assert min(values) - 1e-9 <= low <= high <= max(values) + 1e-9


def test_intervals_resample_prompts_not_images() -> None:
    rng = np.random.default_rng(0)
    per_prompt = rng.integers(0, 2, 20).astype(float)
    prompts = [f"p{k}" for k in range(20)]
    once = bootstrap_interval(list(per_prompt), prompts)
    tenfold = bootstrap_interval(list(np.repeat(per_prompt, 10)), list(np.repeat(prompts, 10)))
    assert once is not None
    assert tenfold is not None
    assert tenfold[:3] == pytest.approx(once[:3])


def test_an_interval_agrees_with_the_normal_one() -> None:
    rng = np.random.default_rng(1)
    values = rng.standard_normal(1000)
    result = bootstrap_interval(list(values), [str(k) for k in range(1000)])
    assert result is not None
    half = 1.96 * values.std() / np.sqrt(1000)
    assert (result[2] - result[1]) / 2 == pytest.approx(half, rel=0.06)


def test_no_value_no_interval() -> None:
    assert bootstrap_interval([None, None], ["a", "b"]) is None
