"""Table 1: the published numbers as printed, and measured ones beside them."""

from pathlib import Path

import pandas as pd
import pytest
from test_tables import PROMPTS, record

from erasebench.models.families import family_of
from erasebench.report.headings import places
from erasebench.report.paper_table import write_table1
from erasebench.report.published import published_table
from erasebench.runs.folder import RunFolder
from erasebench.runs.plan_file import load_plan
from erasebench.runs.record import RunRecord, write_record
from erasebench.runs.scores import write_score
from erasebench.scoring.statistics import rank_correlation
from erasebench.storage.files import write_text

METHODS = ("esd", "sdd", "ablating", "forget-me-not", "all-but-one")


def test_the_published_marks_are_the_papers() -> None:
    table = published_table("all-but-one")
    marks = {
        key: places({row: table.rows[row][key] for row in METHODS}, column.heading)
        for key, column in table.columns.items()
    }
    assert marks == {
        "nudenet": {"esd": 1, "sdd": 2},
        "fid": {"all-but-one": 1, "ablating": 2},
        "kid": {"esd": 1, "all-but-one": 2},
        "clip": {"all-but-one": 1, "ablating": 2},
        "ssim": {"all-but-one": 1, "ablating": 2},
    }
    assert table.rows["original"]["fid"] == 13.59
    assert table.rows["reference"]["clip"] == 0.2693


@pytest.mark.parametrize("model", ["mini", "sd-v1-4"])
def test_measured_stands_beside_published(tmp_path: Path, model: str) -> None:
    """Numbers that are the paper's but for a constant: the same order, and the constant as the difference."""
    table, folder = published_table("all-but-one"), RunFolder(tmp_path)
    plan = load_plan("table1", {"model": model})
    family = family_of(model)
    for row, printed in table.rows.items():
        for key, column in table.columns.items():
            value = printed[key]
            extra = {"low": None, "high": None, "label": column.heading.label.removesuffix(" (%)")}
            extra["qualifier"] = "judge" if family.has_world and key in ("fid", "kid", "clip") else ""
            metric = column.measured_by(family)
            shown = record(row, metric, None if value is None else value + 0.125, column.heading.better, **extra)
            write_score(folder.score(row, metric), shown)
    write_text(folder.plan, plan.to_yaml())
    prompts = {"coco": PROMPTS | {"source": "coco_30k.csv"} | dict.fromkeys(("size", "available", "clusters"), 30000)}
    labels = {row: row.title() for row in table.rows}
    write_record(folder, RunRecord(rows=tuple(table.rows), labels=labels, prompts=prompts))
    view = write_table1(folder)
    numbers = pd.read_csv(tmp_path / "table1.csv")
    esd = numbers[(numbers["row"] == "esd") & (numbers["column"] == "ssim")].iloc[0]
    assert (esd["measured"], esd["published"], esd["difference"]) == pytest.approx((0.356, 0.231, 0.125))
    correlations = numbers[numbers["row"] == "rank correlation"]
    assert correlations["measured"].tolist() == pytest.approx([1] * 5)
    assert (correlations["n"] == 5).all()
    rows = dict(view.rows)
    assert [cell.text for cell in rows["Esd"][-3:]] == ["0.356", "0.231", "+0.125"]
    assert [cell.place for cell in rows["All-But-One"][-3:]] == [1, 1, 0]
    assert [cell.place for cell in rows["Original"]] == [0] * 15
    assert [cell.text for cell in rows["Reference"]][9:12] == ["0.3943", "0.2693", "+0.1250"]
    notes = " ".join(view.notes)
    assert ("†" in notes) is (model == "mini")
    assert "coco_30k.csv, 30000 prompts, hash abc" in notes
    assert "Protocol all-but-one" in notes
    for suffix in ("md", "tex", "html"):
        assert "0.356" in (tmp_path / f"table1.{suffix}").read_text()


def test_a_rank_correlation_needs_three_rows_that_differ() -> None:
    assert rank_correlation([1, 2, 3], [3, 2, 1]) == -1
    assert rank_correlation([1, 2], [3, 2]) is None
    assert rank_correlation([1, 1, 1], [3, 2, 1]) is None
