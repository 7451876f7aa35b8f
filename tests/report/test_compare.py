"""Two rows of a run against each other, and NudeNet's sweep from stored detections."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_tables import record

from erasebench.errors import BenchError
from erasebench.report.compare import all_pairs, compare, pairs_to
from erasebench.report.nudenet_sweep import nudenet_sweep
from erasebench.runs.folder import RunFolder
from erasebench.runs.plan import Plan
from erasebench.runs.rows import resolve_row
from erasebench.runs.scores import write_score
from erasebench.scoring.statistics import holm, sign_flip_p

PLAN = Plan(methods=["esd", "all-but-one"], metrics=["concept_rate", "ssim", "kid", "train_steps"], images=40)


def values(numbers: Sequence[float | None], seed: int | None = 0) -> list[dict[str, Any]]:
    return [
        {"prompt": f"p{k}", "cluster": f"p{k}", "sample": 0, "seed": seed, "value": value}
        for k, value in enumerate(numbers)
    ]


def rates(run: RunFolder, row: str, hits: int, *others: int) -> None:
    """Rates of 40 prompts: the first `hits` are found; `others` are further trainings."""
    rows = [entry for k, n in enumerate((hits, *others)) for entry in values([float(j < n) for j in range(40)], k)]
    mean = float(np.mean([entry["value"] for entry in rows]))
    write_score(run.score(row, "concept_rate"), record(row, "concept_rate", mean, "lower", values=rows))


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    run, rng = RunFolder(tmp_path), np.random.default_rng(0)
    shared = rng.uniform(0.2, 0.8, 40)
    for row, shift in (("esd", 0.0), ("all-but-one", 0.1)):
        ssim: list[float | None] = list(shared + shift + 0.01 * rng.standard_normal(40))
        if row == "esd":
            ssim[7] = None
        write_score(run.score(row, "ssim"), record(row, "ssim", 0.5 + shift, "higher", values=values(ssim)))
        rates(run, row, 30 if shift else 2)
        left_out = list(0.1 + 0.001 * shared[:20] + 1e-4 * rng.standard_normal(20))
        parts = [{"seed": 0, "value": 0.1 + shift / 1e6, "replicates": left_out}]
        write_score(run.score(row, "kid"), record(row, "kid", 0.1 + shift / 1e6, "lower", trainings=parts))
        write_score(run.score(row, "train_steps"), record(row, "train_steps", 10, "lower"))
    return run


def test_rows_are_compared_image_by_image(folder: RunFolder) -> None:
    table = compare(folder, PLAN, [("esd", "all-but-one")]).set_index("metric")
    assert list(table.index) == ["concept_rate", "ssim", "kid"]
    assert table.loc["ssim", "n"] == 39  # the unscored image leaves its pair out
    assert table.loc["ssim", "difference"] == pytest.approx(-0.1, abs=0.01)
    assert table["better"].tolist() == ["esd", "all-but-one", ""]
    assert table.loc["concept_rate", "test"] == "McNemar, exact"
    assert table.loc["concept_rate", "p"] < 1e-6
    assert table.loc["ssim", "test"] == "sign flips over 39 prompts"
    assert table.loc["ssim", "low"] < -0.1 < table.loc["ssim", "high"]
    assert "20 groups" in table.loc["kid", "test"]
    assert table["p_holm"].tolist() == pytest.approx(holm(table["p"].tolist()))
    turned = compare(folder, PLAN, [("all-but-one", "esd")]).set_index("metric")
    assert turned.loc["ssim", "difference"] == pytest.approx(-table.loc["ssim", "difference"])


def test_four_discordant_of_forty_are_no_proof(folder: RunFolder) -> None:
    rates(folder, "all-but-one", 6)
    line = compare(folder, PLAN, [("esd", "all-but-one")]).iloc[0]
    assert (line["metric"], line["p"], line["better"]) == ("concept_rate", 0.125, "")
    assert line["low"] < line["difference"] < 0 < line["high"]


def test_better_is_taken_from_the_adjusted_p(folder: RunFolder) -> None:
    """Six discordant of forty, p = 0.031: enough alone, not among three tests."""
    rates(folder, "all-but-one", 8)
    plan = PLAN.model_copy(update={"metrics": ["concept_rate"]})
    alone = compare(folder, plan, [("esd", "all-but-one")]).iloc[0]
    assert (alone["p"], alone["p_holm"], alone["better"]) == (0.03125, 0.03125, "esd")
    rates(folder, "sdd", 3)
    rates(folder, "uce", 5)
    to_one = compare(folder, plan, pairs_to("all-but-one", ["esd", "sdd", "all-but-one", "uce", "reference"]))
    assert to_one["a"].tolist() == ["esd", "sdd", "uce"]
    assert to_one["p"].tolist() == [0.03125, 0.0625, 0.25]
    assert to_one["p_holm"].tolist() == [0.09375, 0.125, 0.25]
    assert (to_one["better"] == "").all()
    every = all_pairs(["esd", "sdd", "uce", "reference"])
    assert every == [("esd", "sdd"), ("esd", "uce"), ("sdd", "uce")]


def test_trainings_that_scatter_are_no_proof(folder: RunFolder) -> None:
    """Three trainings at 2, 38 and 30 of 40 against 30 each: the prompts agree, the trainings don't."""
    rates(folder, "esd", 2, 38, 2)
    rates(folder, "all-but-one", 30, 30, 30)
    line = compare(folder, PLAN, [("esd", "all-but-one")]).iloc[0]
    assert sign_flip_p(np.array([-1.0] * 28 + [1.0] * 8)) < 0.01
    assert line["p"] > 0.05
    assert "3 trainings × 40 prompts" in line["test"]


def test_the_original_is_paired_with_every_training(folder: RunFolder) -> None:
    rates(folder, "esd", 1, 0, 2)
    once = record("original", "concept_rate", 1.0, "lower", values=values([1.0] * 40, None))
    write_score(folder.score("original", "concept_rate"), once)
    line = compare(folder, PLAN, [("esd", "original")]).iloc[0]
    assert (line["n"], line["difference"]) == (120, pytest.approx(-1 + 3 / 120))
    turned = compare(folder, PLAN, [("original", "esd")]).iloc[0]
    assert (turned["difference"], turned["p"], turned["low"]) == pytest.approx(
        (-line["difference"], line["p"], -line["high"])
    )
    assert (line["better"], turned["better"]) == ("esd", "esd")


def test_rows_by_alias_and_wrong_rows(folder: RunFolder) -> None:
    rows = ["original", "esd", "all-but-one"]
    assert resolve_row("ours", rows) == "all-but-one"
    with pytest.raises(BenchError, match=r"unknown row 'esdd'\. Did you mean 'esd'"):
        resolve_row("esdd", rows)
    with pytest.raises(BenchError, match="Name two different ones"):
        compare(folder, PLAN, [("esd", "esd")])
    with pytest.raises(BenchError, match="no score in common"):
        compare(folder, PLAN, [("esd", "sdd")])


def test_the_sweep_reads_stored_detections(tmp_path: Path) -> None:
    found = [
        {"detections": [], "maxima": {"BELLY_EXPOSED": 0.65}},
        {"detections": [], "maxima": {"BUTTOCKS_EXPOSED": 0.45, "FACE_MALE": 0.9}},
        {"detections": [], "maxima": {"BUTTOCKS_EXPOSED": 0.2}},
        "d.png: not readable",
    ]
    run = RunFolder(tmp_path)
    stored = [
        {"prompt": f"p{k}", "cluster": f"p{k}", "sample": 0, "seed": 0, "value": 0.0, "detail": d}
        for k, d in enumerate(found)
    ]
    write_score(run.score("esd", "nudenet_rate"), record("esd", "nudenet_rate", 0.0, "lower", values=stored))
    table = nudenet_sweep(run, {"esd": "ESD"}, ["core6", "exposed8"], [0.4, 0.6]).set_index(["classes", "threshold"])
    assert table["rate"].tolist() == pytest.approx([1 / 3, 0, 2 / 3, 1 / 3])
    assert (table["n"] == 3).all()
    assert (table["unscored"] == 1).all()
    assert table.loc[("exposed8", 0.4), "mean_confidence"] == pytest.approx((0.65 + 0.45) / 3)
    with pytest.raises(BenchError, match="no NudeNet detections"):
        nudenet_sweep(run, {"sdd": "SDD"})
