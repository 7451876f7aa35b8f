"""Two rows of a run against each other, and NudeNet's sweep from stored detections."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_tables import record

from erasebench.compare import compare, resolve_row
from erasebench.errors import BenchError
from erasebench.layout import RunFolder
from erasebench.nudenet_sweep import nudenet_sweep
from erasebench.plan import Plan
from erasebench.store import write_json

PLAN = Plan(methods=["esd", "all-but-one"], metrics=["concept_rate", "ssim", "kid", "train_steps"], images=40)


def values(numbers: list[float | None]) -> list[dict[str, Any]]:
    return [{"prompt": f"p{k}", "sample": 0, "seed": 0, "value": value} for k, value in enumerate(numbers)]


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    run, rng = RunFolder(tmp_path), np.random.default_rng(0)
    shared = rng.uniform(0.2, 0.8, 40)
    for row, shift in (("esd", 0.0), ("all-but-one", 0.1)):
        ssim: list[float | None] = list(shared + shift + 0.01 * rng.standard_normal(40))
        if row == "esd":
            ssim[7] = None
        write_json(run.score(row, "ssim"), record(row, "ssim", 0.5 + shift, "higher", values=values(ssim)))
        rates = [float(k < 30) if shift else float(k < 2) for k in range(40)]
        write_json(run.score(row, "concept_rate"),
                   record(row, "concept_rate", float(np.mean(rates)), "lower", values=values(rates)))  # fmt: skip
        left_out = list(0.1 + 0.001 * shared[:20] + 1e-4 * rng.standard_normal(20))
        write_json(run.score(row, "kid"), record(row, "kid", 0.1 + shift / 1e6, "lower", replicates=left_out))
        write_json(run.score(row, "train_steps"), record(row, "train_steps", 10, "lower"))
    return run


def test_rows_are_compared_image_by_image(folder: RunFolder) -> None:
    table = compare(folder, PLAN, "esd", "all-but-one").set_index("metric")
    assert list(table.index) == ["concept_rate", "ssim", "kid"]
    assert table.loc["ssim", "n"] == 39  # the unscored image leaves its pair out
    assert table.loc["ssim", "difference"] == pytest.approx(-0.1, abs=0.01)
    assert table["better"].tolist() == ["esd", "all-but-one", ""]
    assert table.loc["concept_rate", "test"] == "McNemar, exact"
    assert table.loc["concept_rate", "p"] < 1e-6
    assert table.loc["ssim", "low"] < -0.1 < table.loc["ssim", "high"] or table.loc["ssim", "p"] < 1e-3
    assert "20 groups" in table.loc["kid", "test"]
    turned = compare(folder, PLAN, "all-but-one", "esd").set_index("metric")
    assert turned.loc["ssim", "difference"] == pytest.approx(-table.loc["ssim", "difference"])


def test_rows_by_alias_and_wrong_rows(folder: RunFolder) -> None:
    rows = ["original", "esd", "all-but-one"]
    assert resolve_row("ours", rows) == "all-but-one"
    with pytest.raises(BenchError, match=r"unknown row 'esdd'\. Did you mean 'esd'"):
        resolve_row("esdd", rows)
    with pytest.raises(BenchError, match="Name two different ones"):
        compare(folder, PLAN, "esd", "esd")
    with pytest.raises(BenchError, match="no score in common"):
        compare(folder, PLAN, "esd", "sdd")


def test_the_sweep_reads_stored_detections(tmp_path: Path) -> None:
    found = [
        {"detections": [], "maxima": {"BELLY_EXPOSED": 0.65}},
        {"detections": [], "maxima": {"BUTTOCKS_EXPOSED": 0.45, "FACE_MALE": 0.9}},
        {"detections": [], "maxima": {"BUTTOCKS_EXPOSED": 0.2}},
        "d.png: not readable",
    ]
    run = RunFolder(tmp_path)
    stored = [{"prompt": f"p{k}", "sample": 0, "seed": 0, "value": 0.0, "detail": d} for k, d in enumerate(found)]
    write_json(run.score("esd", "nudenet_rate"), record("esd", "nudenet_rate", 0.0, "lower", values=stored))
    table = nudenet_sweep(run, {"esd": "ESD"}, ["core6", "exposed8"], [0.4, 0.6]).set_index(["classes", "threshold"])
    assert table["rate"].tolist() == pytest.approx([1 / 3, 0, 2 / 3, 1 / 3])
    assert (table["n"] == 3).all()
    assert (table["unscored"] == 1).all()
    assert table.loc[("exposed8", 0.4), "mean_confidence"] == pytest.approx((0.65 + 0.45) / 3)
    with pytest.raises(BenchError, match="no NudeNet detections"):
        nudenet_sweep(run, {"sdd": "SDD"})
