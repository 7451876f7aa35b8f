"""Tables: the same numbers everywhere; ties, nulls and missing cells shown; hostile texts made safe."""

import csv
import re
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from erasebench.report.bands import area_against
from erasebench.report.formats import html, latex, markdown
from erasebench.report.headings import Heading, footnotes, places, remarks
from erasebench.report.leaderboard import leaderboard, sheet, write_tables
from erasebench.report.marks import best_rows
from erasebench.report.sheet import Cell, Column, Sheet
from erasebench.report.stored_scores import estimate_fields, estimate_values
from erasebench.runs.folder import RunFolder
from erasebench.runs.plan import Plan, Prompts
from erasebench.runs.protocols import deviations, get_protocol, protocol_names
from erasebench.runs.record import Failure, RunRecord
from erasebench.runs.scores import ImageValue, ScoreRecord, read_scores, write_score
from erasebench.storage.files import write_csv

PLAN = Plan(methods=["esd", "sdd", "uce"], metrics=["concept_rate", "ssim", "train_steps"], images=4, seeds=[0, 1])
ROWS = ("original", "esd", "sdd", "uce", "reference")
LABELS = {"original": "Original", "esd": "ESD", "sdd": "SDD", "uce": "UCE & co", "reference": "Real images"}
PROMPTS = {
    "source": "built in: direct",
    "hash": "abc",
    "size": 40,
    "available": 200,
    "clusters": 5,
    "own_seed": 0,
    "own_guidance": 0,
    "own_size": 0,
}

RECORD = RunRecord(
    precision={"training": "fp32", "generation": "bf16"},
    batch_size=32,
    rows=ROWS,
    labels=LABELS,
    prompts={"concept": PROMPTS},
    trainings={"esd": (0, 1), "sdd": (0, 1), "uce": ()},
)


def record(row: str, metric: str, value: float | None, better: str, **extra: Any) -> ScoreRecord:
    fields: dict[str, Any] = {
        "row": row,
        "metric": metric,
        "label": metric.title(),
        "better": better,
        "value": value,
        "low": value,
        "high": value,
        "n": 0 if value is None else 4,
        "digits": 0 if metric == "train_steps" else 3,
        "is_cost": metric == "train_steps",
    }
    return ScoreRecord(**{**fields, **extra})


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    run = RunFolder(tmp_path)
    rates = {"original": 1.0, "esd": 0.1234, "sdd": 0.1230, "uce": 0.5}
    for row, value in rates.items():
        values = [{"prompt": "p", "cluster": "p", "sample": 0, "seed": k, "value": value + 0.1 * k} for k in (0, 1)]
        extra = {"note": "a judge", "values": values}
        write_score(run.score(row, "concept_rate"), record(row, "concept_rate", value, "lower", **extra))
    for row, value in {"esd": 0.7, "sdd": 0.9, "uce": None}.items():
        reason = "too small" if value is None else ""
        lost = ["a.png: missing"] if row == "uce" else []
        write_score(run.score(row, "ssim"), record(row, "ssim", value, "higher", reason=reason, unscored=lost))
    write_score(run.score("esd", "train_steps"), record("esd", "train_steps", 100, "lower"))
    return run


def view(folder: RunFolder, plan: Plan = PLAN, plain: bool = True) -> Sheet:
    scores = read_scores(folder, ROWS, plan.metrics)
    return sheet(scores, leaderboard(scores, plan, RECORD), plan, RECORD, plain)


def test_the_csv_has_the_promised_columns(folder: RunFolder) -> None:
    write_tables(folder, PLAN, RECORD)
    with folder.table("csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    metrics = [f"{m}{side}" for m in PLAN.metrics for side in ("", "_low", "_high", "_n", "_training_sd")]
    assert list(lines[0]) == ["row", "label", "model", "concept", "seeds", "failed", "quick", *metrics]
    assert [line["row"] for line in lines] == list(ROWS)
    assert lines[1]["concept_rate"] == "0.1234"
    assert float(lines[1]["concept_rate_training_sd"]) == pytest.approx(0.1 / 2**0.5)
    assert [line["seeds"] for line in lines] == ["", "0 1", "0 1", "closed form", ""]
    assert (lines[3]["ssim"], lines[3]["ssim_n"], lines[3]["ssim_training_sd"]) == ("", "0", "")


def test_times_under_other_conditions_are_said_not_to_compare() -> None:
    def seconds(row: str, others: int) -> ScoreRecord:
        return record(row, "train_seconds", 3.0, "lower", is_cost=True, note=f"trained beside {others} other workers")

    plan = PLAN.model_copy(update={"metrics": ["train_seconds"]})
    alike = {("esd", "train_seconds"): seconds("esd", 1), ("sdd", "train_seconds"): seconds("sdd", 1)}
    assert not [line for line in remarks(alike, plan, {}) if "compare" in line]
    other = {**alike, ("sdd", "train_seconds"): seconds("sdd", 0)}
    (line,) = [line for line in remarks(other, plan, {}) if "compare" in line]
    assert "beside 1 other workers (esd); trained beside 0 other workers (sdd): these do not compare" in line


def test_plain_marks_are_a_papers_and_oracles_are_not_ranked(folder: RunFolder) -> None:
    marks = {label: [cell.place for cell in cells] for label, cells in view(folder).rows}
    assert marks == {
        "Original": [0, 0, 0],
        "ESD": [1, 2, 0],
        "SDD": [1, 1, 0],
        "UCE & co": [0, 0, 0],
        "Real images": [0, 0, 0],
    }
    assert places({"a": 0.5}, Heading("x")) == {}
    assert places({"a": 0.5, "b": float("nan"), "c": None, "d": 0.4}, Heading("x")) == {"a": 1, "d": 2}
    assert places({"a": 0.0, "b": 0.0, "c": 0.05}, Heading("x", "lower")) == {"a": 1, "b": 1}  # no second


class _Cells(HTMLParser):
    """The texts of a page's table rows."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.inside = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self.inside = True

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self.inside = False

    def handle_data(self, text: str) -> None:
        if self.inside:
            self.rows[-1][-1] += text


def test_the_same_numbers_stand_in_every_format(folder: RunFolder) -> None:
    shown = view(folder)
    expected = [[label, *(cell.text for cell in cells)] for label, cells in shown.rows]
    page = [[label, *(cell.text + cell.interval for cell in cells)] for label, cells in shown.rows]
    assert page != expected  # some have an interval
    assert _Cells(html(shown)).rows[1:] == page
    table = [line for line in markdown(shown).splitlines() if line.startswith("| ")][1:]
    strip = re.compile(r"\*\*|</?u>")
    assert [[part.strip() for part in strip.sub("", line).strip("|").split("|")] for line in table] == expected
    body = [line for line in latex(shown).splitlines() if line.endswith(r"\\")][1:]
    plain = re.compile(r"\\(?:textbf|underline)\{([^}]*)\}")
    tex = [[part.strip() for part in plain.sub(r"\1", line[:-2]).split(" & ")] for line in body]
    assert tex == [[part.replace("—", "--").replace("&", r"\&") for part in row] for row in expected]


def test_marks_and_rules(folder: RunFolder) -> None:
    shown = view(folder)
    assert "| ESD | **0.123** | <u>0.700</u> | 100 |" in markdown(shown)
    assert "| UCE & co | 0.500 | — | — |" in markdown(shown)
    assert r"ESD & \textbf{0.123} & \underline{0.700} & 100 \\" in latex(shown)
    assert latex(shown).count(r"\midrule") == 3
    cell = '<td title="95 % interval 0.123 to 0.123, n = 4"><b>0.123</b><small>0.123 to 0.123</small></td>'
    assert cell in html(shown)
    assert html(shown).count("<tbody>") == 3


def test_a_footnote_says_how_far_a_second_judge_agrees(folder: RunFolder) -> None:
    for row, others in {"original": (1.0, 1.0, 1.0, 0.0), "esd": (0.0, 0.0, 0.0, None)}.items():
        rate = 1.0 if row == "original" else 0.0
        values = tuple(
            ImageValue(prompt="p", cluster="p", sample=k, seed=0, value=rate, second=second)
            for k, second in enumerate(others)
        )
        found = record(row, "concept_rate", rate, "lower", values=values, second=0.75 * rate)
        write_score(folder.score(row, "concept_rate"), found)
    notes = "\n".join(footnotes(read_scores(folder, ROWS, PLAN.metrics), PLAN, RECORD))
    assert "agrees on 87.5% of a row's images on average, least on 75.0% (original); by it: " in notes
    assert "original 0.750, esd 0.000" in notes
    assert "sdd" not in notes.split("by it: ")[1].split("\n")[0]


def test_scores_by_band_say_whether_related_things_suffer(folder: RunFolder) -> None:
    plan = PLAN.model_copy(update={"prompts": {**PLAN.prompts, "objects": Prompts(source="bands")}})
    values = tuple(
        ImageValue(prompt=f"{band}-{k:04d}", cluster=f"{band} {k}", sample=0, seed=seed, value=level + 0.01 * k + seed)
        for band, level in (("sea_creature", 0.1), ("thing", 0.3))
        for k in range(15)
        for seed in (0, 1)
    )
    write_score(folder.score("esd", "ssim"), record("esd", "ssim", 0.5, "higher", values=values, prompts="objects"))
    write_tables(folder, plan, RECORD)
    table = pd.read_csv(folder.root / "bands.csv").set_index("band")
    assert list(table.index) == ["sea creature", "thing"]
    assert (table.loc["sea creature", "area"], table.loc["sea creature", "area_low"]) == (1.0, 1.0)
    assert np.isnan(table.loc["thing", "area"])
    assert table.loc["thing", "value"] - table.loc["sea creature", "value"] == pytest.approx(0.2)
    assert table.loc["sea creature", "n"] == 30
    area, low, high = area_against([*values[:10]], [*values[10:30]], "higher")
    assert low <= area == 1.0 == high
    assert area_against([*values[30:]], [*values[:30]], "higher")[0] == 0.0
    mixed = area_against([*values[:30:2]], [*values[1:30:2]], "higher")
    assert np.isnan(mixed).all()


def test_footnotes_say_what_the_numbers_depend_on(folder: RunFolder) -> None:
    scores = read_scores(folder, ROWS, PLAN.metrics)
    prompts = {"concept": PROMPTS | {"own_seed": 7}}
    notes = "\n".join(footnotes(scores, PLAN, RECORD.model_copy(update={"prompts": prompts})))
    for text in (
        "bf16 in batches of 32",
        "1 images unscored, such as a.png: missing",
        "too small",
        "a judge",
        "DDIM 25 steps, guidance 5",
        "built in: direct, 40 of 200 prompts from 5 templates, 7 with their own seed, hash abc",
        "training seeds 0 1",
    ):
        assert text in notes
    assert "Protocol" not in notes


def test_a_plugged_in_metric_is_printed_as_it_asks(folder: RunFolder) -> None:
    plan = PLAN.model_copy(update={"metrics": ["mine"]})
    write_score(folder.score("esd", "mine"), record("esd", "mine", 0.5, "lower", digits=1, qualifier="judge"))
    text = markdown(view(folder, plan))
    assert "| Mine (judge) ↓ |" in text
    assert "| ESD | 0.5 |" in text


def test_tables_are_a_pure_function_of_the_scores(folder: RunFolder) -> None:
    suffixes = ("csv", "md", "tex", "html")
    write_tables(folder, PLAN, RECORD)
    first = [folder.table(suffix).read_bytes() for suffix in suffixes]
    write_tables(folder, PLAN, RECORD)
    assert first == [folder.table(suffix).read_bytes() for suffix in suffixes]


def test_group_headings_span_their_columns() -> None:
    columns = [Column("measured", "FID ↓"), Column("paper", "FID ↓"), Column("n")]
    shown = Sheet("A caption", columns, [[("ESD", [Cell("1"), Cell("2"), Cell("3")])]], [])
    assert shown.groups == [("FID ↓", 2), ("", 1)]
    assert r" & \multicolumn{2}{c}{FID $\downarrow$} & \multicolumn{1}{c}{} \\" in latex(shown)
    assert r"\cmidrule(lr){2-3}" in latex(shown)
    assert '<th colspan="2" class="group">FID ↓</th>' in html(shown)
    assert "| FID ↓ measured | FID ↓ paper | n |" in markdown(shown)


@given(st.text(st.characters(codec="utf-8"), max_size=40))
def test_no_text_breaks_a_table(text: str) -> None:
    shown = Sheet(text, [Column(text)], [[(text, [Cell(text, 1, text)])]], [text])
    page = html(shown)
    assert "<script" not in page.lower()
    assert page.count("<td") == page.count("</td>") == 1
    tex = latex(shown)
    assert re.sub(r"\\[a-zA-Z]+|\\.", "", tex).count("{") == re.sub(r"\\[a-zA-Z]+|\\.", "", tex).count("}")
    assert all(ord(letter) < 0x17F for letter in tex)
    table = [line for line in markdown(shown).split("\n") if line.startswith("|")]
    assert len(table) == 3
    assert all(len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) == 3 for line in table)


def test_what_no_test_compares_has_no_mark() -> None:
    """The sensitivity has intervals, and no images in pairs: its lowest value alone shows nothing."""
    column = {row: record(row, "spectrum", value, "lower") for row, value in {"esd": 0.1, "sdd": 0.2}.items()}
    assert best_rows(column, "lower") == []


def test_every_protocol_pins_a_plan_and_names_its_source() -> None:
    assert protocol_names() == ["adversarial-preservation", "all-but-one", "erasure-bench", "esd", "eval-unlearn"]
    for name in protocol_names():
        protocol = get_protocol(name)
        assert protocol.source
        assert set(protocol.ours) <= set(protocol.pinned)
        plan = Plan(methods=["esd"], metrics=["ssim"], images=3, model="sd-v1-4", protocol=name, **protocol.plan)
        assert deviations(name, plan.model_dump()) == []


def test_a_table_says_where_it_leaves_its_protocol() -> None:
    given = {**get_protocol("all-but-one").plan, "generation": {"steps": 25, "guidance": 7.5}}
    plan = Plan(methods=["esd"], metrics=["ssim"], images=3, protocol="all-but-one", **given)
    notes = "\n".join(footnotes({}, plan, RunRecord()))
    assert "Protocol all-but-one (All but One, arXiv 2312.12807" in notes
    assert notes.count("(protocol:") == 1
    assert "except generation.steps 25 (protocol: 50)." in notes


def test_what_failed_says_so_in_every_format(folder: RunFolder) -> None:
    lost = ("sdd concept_rate", "sdd ssim", "sdd train_steps")
    failures = (
        Failure(stage="erase", row="sdd", item="seed 0", reason="the loss is nan\nand more", lost=lost),
        Failure(stage="score", row="esd", item="ssim", reason="no | image <b>", lost=("esd ssim",)),
    )
    record = RECORD.model_copy(update={"failures": failures})
    table = write_tables(folder, PLAN, record).set_index("row")
    assert table.loc["sdd", "failed"] == "concept_rate ssim train_steps"
    assert (table.loc["esd", "failed"], table.loc["uce", "failed"]) == ("ssim", "")
    texts = {suffix: folder.table(suffix).read_text() for suffix in ("md", "tex", "html")}
    for text in texts.values():
        assert text.count("failed") == 4
        assert "Failed: erase sdd seed 0: the loss is nan" in text
        assert "and more" not in text
    assert "image <b>" not in texts["html"]
    assert "| SDD | failed | failed | failed |" in texts["md"]


def test_a_spreadsheet_takes_no_text_for_a_formula(tmp_path: Path) -> None:
    hostile = ["=1+1", "+cmd|' /C calc'!A0", "-2", "@SUM(A1)", "\tx", "fine", "a=b"]
    write_csv(tmp_path / "a.csv", pd.DataFrame({"concept": hostile, "score": [-1.5, -2, 3, 4, 5, 6, 7]}))
    with (tmp_path / "a.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["concept"] for line in lines] == [*(f"'{text}" for text in hostile[:5]), "fine", "a=b"]
    assert lines[0]["score"] == "-1.5"


def score(
    row: str, metric: str, values: np.ndarray, better: str, seeds: Sequence[int | None], **extra: Any
) -> ScoreRecord:
    """A record with values (trainings, prompts) and their estimate."""
    rows = [
        ImageValue(prompt=f"p{k}", cluster=f"p{k}", sample=0, seed=seed, value=float(value))
        for seed, own in zip(seeds, values, strict=True)
        for k, value in enumerate(own)
    ]
    rate = extra.get("is_rate", False)
    found = estimate_values(rows, [r.value for r in rows], rate)
    assert found is not None
    whole = {**estimate_fields(found), "values": tuple(rows)}
    return record(row, metric, found.value, better, **extra).model_copy(update=whole)


RATE = {"is_rate": True, "prompts": "concept"}


@pytest.fixture
def erased(tmp_path: Path) -> RunFolder:
    """Three trainings of three methods over 32 prompts: ESD erases, SDD nearly, UCE hardly."""
    run, rng = RunFolder(tmp_path), np.random.default_rng(0)
    shares = {"original": 1.0, "esd": 0.0, "sdd": 0.02, "uce": 0.9}
    closeness = {"esd": 0.6, "sdd": 0.75, "uce": 0.97}
    for row, share in shares.items():
        seeds: list[int | None] = [None] if row == "original" else [0, 1, 2]
        hits = np.stack([np.roll(np.arange(32) < round(share * 32), k) for k in range(len(seeds))])
        write_score(run.score(row, "concept_rate"), score(row, "concept_rate", hits, "lower", seeds, **RATE))
        if row in closeness:
            ssim = closeness[row] + 0.02 * rng.standard_normal((3, 32))
            write_score(run.score(row, "ssim"), score(row, "ssim", ssim, "higher", seeds, prompts="objects"))
    return run


def bold(shown: Sheet) -> dict[str, list[int]]:
    return {label: [cell.place for cell in cells] for label, cells in shown.rows}


def test_the_best_and_all_that_are_not_worse_are_bold(erased: RunFolder) -> None:
    """0.00 and 0.02 can't be told apart; UCE changes least, but leaves the concept: it is not ranked by that."""
    shown = view(erased, plain=False)
    assert bold(shown) == {
        "Original": [0, 0, 0],
        "ESD": [1, 0, 0],
        "SDD": [1, 1, 0],
        "UCE & co": [0, 0, 0],
        "Real images": [0, 0, 0],
    }
    notes = "\n".join(shown.notes)
    assert "Not ranked by Ssim: UCE & co, over half of the original’s Concept_Rate is left." in notes
    assert (
        "95 % interval over 3 trainings × 32 prompts (esd, sdd, uce); 95 % interval over 32 prompts (original)" in notes
    )
    assert "not significantly worse" in notes
    assert "with one or two trainings they hold for these alone" in notes
    plain = view(erased, plain=True)
    assert bold(plain)["UCE & co"] == [0, 1, 0]
    assert "second best underlined" in plain.notes[0]


def test_no_mark_without_an_interval(erased: RunFolder) -> None:
    for row in ("esd", "sdd"):
        stored = read_scores(erased, [row], ["ssim"])[row, "ssim"]
        write_score(erased.score(row, "ssim"), stored.model_copy(update={"low": None, "high": None}))
    assert [cells[1] for cells in bold(view(erased, plain=False)).values()] == [0] * 5


def test_a_column_that_the_original_fails_tells_nothing(erased: RunFolder) -> None:
    """A rubber duck that the original never draws: nobody erased it."""
    none = score("original", "concept_rate", np.zeros((1, 32)), "lower", [None], **RATE)
    write_score(erased.score("original", "concept_rate"), none)
    shown = view(erased, plain=False)
    assert [cells[0] for cells in bold(shown).values()] == [0] * 5
    assert bold(shown)["UCE & co"] == [0, 1, 0]  # whether it erased is not known
    assert "Concept_Rate: only 0.000 of the original itself, under 0.5: this column tells nothing of erasure" in (
        "\n".join(shown.notes)
    )


def test_a_trial_says_so_and_ranks_nothing(erased: RunFolder) -> None:
    plan = PLAN.model_copy(update={"quick": True})
    for plain in (False, True):
        shown = view(erased, plan, plain)
        assert all(place == 0 for places in bold(shown).values() for place in places)
        for form in (markdown, latex, html):
            assert "Quick trial" in form(shown)
            assert "Quick trial" not in form(view(erased))
    write_tables(erased, plan, RECORD)
    assert pd.read_csv(erased.table("csv"))["quick"].all()
