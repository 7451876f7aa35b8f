"""What a terminal shows, at any width: every number, whole, under its heading and beside its row."""

import io
import re
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from erasebench.report.sheet import Cell, Column, Sheet
from erasebench.report.terminal import entries, sheet_of, terminal_table

METRICS = ("Concept rate ↓", "NudeNet rate ↓", "FID (judge) ↓", "KID (judge) ↓", "CLIP score (judge) ↑", "SSIM ↑")
ROWS = ("Original", "All but One", "Adversarial Preservation (PGD)")


def leaderboard() -> Sheet:
    rows = [
        (row, [Cell(f"0.{k}{j}5 [0.{k}{j}1, 0.{k}{j}9]") for j in range(len(METRICS))]) for k, row in enumerate(ROWS)
    ]
    return Sheet("", [Column(name) for name in METRICS], [rows], [])


def shown(sheet: Sheet, width: int) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    console.print(terminal_table("A title", sheet))
    stream: Any = console.file
    return str(stream.getvalue())


@pytest.mark.parametrize("width", [20, 40, 60, 80, 100, 250])
def test_every_number_is_there_and_no_line_is_too_long(width: int) -> None:
    text = shown(leaderboard(), width)
    assert text.count("A title") == 1
    for label, cells in leaderboard().rows:
        assert label in text or width <= 40
        for cell in cells:
            assert len(re.findall(re.escape(cell.text), text)) == 1 or width <= 40
    numbers = sorted(number for _, cells in leaderboard().rows for cell in cells for number in cell.text.split())
    assert sorted(re.findall(r"\[?0\.\d+[\],]?", text)) == numbers
    assert max(map(len, text.split("\n"))) <= width


def test_at_80_columns_each_part_repeats_the_rows() -> None:
    text = shown(leaderboard(), 80)
    parts = text.count("Original")
    assert parts == text.count("Adversarial Preservation (PGD)") > 1
    assert shown(leaderboard(), 250).count("Original") == 1


def test_columns_that_tell_rows_apart_are_repeated() -> None:
    rows = [("esd", [Cell(name), *[Cell("0.123456789012")] * 6]) for name in ("fid", "kid", "ssim")]
    sheet = Sheet("", [Column(name) for name in ("metric", *"abcdef")], [rows], [])
    text = shown(sheet, 60)
    assert text.count("ssim") == text.count("metric") == text.count("esd") // 3 > 1
    assert text.count("0.123456789012") == 18


def test_sentences_break_between_words() -> None:
    reason = "not comparable because the sampler of the two runs differs in its number of steps"
    sheet = Sheet("", [Column("p"), Column("how")], [[("esd", [Cell("0.012"), Cell(reason)])]], [])
    words = re.findall(r"\w+", shown(sheet, 50))
    assert [word for word in reason.split() if word not in words] == []


def test_frames_and_lists() -> None:
    sheet = sheet_of(pd.DataFrame({"row": ["esd"], "rate": [0.12345], "n": [3], "low": [float("nan")]}))
    assert [cell.text for cell in sheet.rows[0][1]] == ["0.123", "3", "—"]
    assert entries([("a", "one two"), ("bcd", "")]) == "a    one two\nbcd"


def test_lists_break_between_words_at_the_terminals_width(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    text = entries([("esd", "negative guidance to the concept's prompt, all but cross-attention"), ("x" * 30, "long")])
    assert max(map(len, text.split("\n"))) <= 40
    assert {"cross-attention", "negative", "x" * 30, "long"} <= set(text.split())


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.lists(st.floats(-1e6, 1e6).map(lambda v: f"{v:.4f}"), min_size=4, max_size=4), min_size=1, max_size=4),
    st.integers(24, 120),
)
def test_no_width_loses_a_digit(numbers: list[list[str]], width: int) -> None:
    rows = [(f"row {k}", [Cell(text) for text in line]) for k, line in enumerate(numbers)]
    sheet = Sheet("", [Column(f"column {k}") for k in range(4)], [rows], [])
    wanted = sorted(text for line in numbers for text in line)
    found = re.findall(r"-?\d+\.\d+", re.sub(r"\n(?=\S)", "\n", shown(sheet, width)))
    assert sorted(found) == wanted
