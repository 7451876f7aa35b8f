"""Entries and the leaderboard over them: what can be compared stands together, and nothing else."""

import json
from pathlib import Path
from typing import Any

import pytest
from stored_run import stored_run
from typer.testing import CliRunner

from erasebench.cli.app import app
from erasebench.errors import BenchError
from erasebench.report.web.entries import entries_of, groups_of, write_leaderboard
from erasebench.report.web.entry import Entry, entry_of, published_entry, read_entry, write_entry
from erasebench.report.web.opened import open_run


@pytest.fixture(scope="module")
def entry(tmp_path_factory: pytest.TempPathFactory) -> Entry:
    return entry_of(open_run(stored_run(tmp_path_factory.mktemp("entries") / "run", prompts=2).root))


def changed(entry: Entry, **fields: Any) -> Entry:
    return Entry(**{**entry.model_dump(), **fields})


def test_an_entry_has_the_runs_numbers_and_comes_back(entry: Entry, tmp_path: Path) -> None:
    write_entry(entry, tmp_path / "entry.json")
    assert read_entry(tmp_path / "entry.json") == entry
    assert entry.rows["uce"].values["concept_rate"].n == 2
    assert entry.rows["esd"].trainings == (0, 1)
    assert "ssim" not in entry.rows["original"].values
    assert str(Path.cwd()) not in (tmp_path / "entry.json").read_text()


def test_only_what_can_be_compared_stands_in_one_table(entry: Entry) -> None:
    same = changed(entry, name="theirs", fingerprint="other", made_with={"device": "another"})
    prompts = changed(entry, name="others", basis={**entry.basis, "prompts": {"concept": "another"}})
    published = published_entry("all-but-one")
    groups = groups_of([entry, same, prompts, published])
    assert [len(group.board.rows) for group in groups] == [8, 4, len(published.rows)]
    assert [row.label for row in groups[2].board.rows][:2] == ["Original", "ESD"]  # the heading says whose they are
    assert len({one.group for one in (entry, same, prompts, published)}) == 3
    assert not any(cell.is_best for group in groups for row in group.board.rows for cell in row.cells)


def test_another_version_of_a_metric_is_a_column_of_its_own(entry: Entry) -> None:
    metrics = {**entry.metrics, "ssim": entry.metrics["ssim"].model_copy(update={"version": 9})}
    newer = changed(entry, name="newer", metrics=metrics)
    (group,) = groups_of([entry, newer])
    labels = [column.label for column in group.board.columns]
    assert labels == ["Concept rate", "SSIM (version 0)", "Steps", "SSIM (version 9)"]
    by_row = {row.key: [cell.value is None for cell in row.cells] for row in group.board.rows}
    assert by_row["run/esd"] == [False, False, False, True]
    assert by_row["newer/esd"] == [False, True, False, False]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "can't be read"),
        ("[]", "is no entry"),
        ('{"a": 1}', "is no entry"),
        ('{"schema_version": 99}', "schema version 99, not 1"),
        ('{"schema_version": 1, "kind": "measured"}', "Field required"),
        ("nan", "finite"),
        ("more", "Extra inputs"),
    ],
)
def test_what_is_no_entry_is_refused(content: str, message: str, entry: Entry, tmp_path: Path) -> None:
    stored = entry.model_dump(mode="json")
    if content == "nan":
        stored["rows"]["esd"]["values"]["ssim"]["value"] = float("nan")
    if content in ("nan", "more"):
        content = json.dumps({**stored, "more": 1} if content == "more" else stored)
    (tmp_path / "entry.json").write_text(content)
    with pytest.raises(BenchError, match=message):
        entries_of([tmp_path])


def test_twice_the_same_name_or_nothing_is_refused(entry: Entry, tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_entry(entry, tmp_path / f"{name}.json")
    with pytest.raises(BenchError, match="the same entry twice"):
        entries_of([tmp_path])
    write_entry(changed(entry, fingerprint="other"), tmp_path / "b.json")
    with pytest.raises(BenchError, match="two entries of one name"):
        entries_of([tmp_path])
    (tmp_path / "none").mkdir()
    with pytest.raises(BenchError, match="no folder of entries"):
        entries_of([tmp_path / "none"])
    with pytest.raises(BenchError, match="an entry is of a complete run"):
        entry_of(open_run(stored_run(tmp_path / "failed", prompts=1, status="failed").root))


def test_hostile_entries_stay_text(entry: Entry, tmp_path: Path) -> None:
    hostile = "</script><img src=x onerror=alert(1)>\u202e"
    wrong = changed(entry, name=hostile, concept=hostile, remarks=(hostile,), basis={hostile: hostile})
    text = write_leaderboard([wrong], tmp_path / "leaderboard.html").read_text()
    assert "<img" not in text
    assert "\u202e" not in text
    assert "default-src &#39;none&#39;" in text


def test_the_commands(tmp_path: Path) -> None:
    run = stored_run(tmp_path / "run", prompts=1).root
    mine, page = tmp_path / "mine.json", tmp_path / "leaderboard.html"
    done = CliRunner().invoke(app, ["entry", str(run), "--to", str(mine), "--name", "mine"])
    assert done.exit_code == 0, done.output
    done = CliRunner().invoke(app, ["leaderboard", str(run), str(mine), "--to", str(page), "--published"])
    assert done.exit_code == 0, done.output
    assert "ESD · mine" in page.read_text()
    assert "ESD · run" in page.read_text()
    assert "Published: All but One" in page.read_text()
