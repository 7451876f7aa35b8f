"""Runs are found again: listed, and named by a short name."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from erasebench.cli.app import app
from erasebench.errors import BenchError
from erasebench.runs.folder import DEFAULT_PARENT, RunFolder
from erasebench.runs.listing import find_run
from erasebench.runs.plan import Plan
from erasebench.runs.record import RunRecord, Session, write_record
from erasebench.storage.files import write_text


def make(name: str, status: str = "complete", **plan: object) -> Path:
    """A run's folder as far as it is listed."""
    folder = RunFolder(DEFAULT_PARENT / name)
    folder.root.mkdir(parents=True)
    write_text(folder.plan, Plan(**{"metrics": ["ssim"], "images": 8, "methods": ["uce"], **plan}).to_yaml())
    session = Session(started="2026-01-02T03:04:05+00:00")
    write_record(folder, RunRecord(status=status, sessions=(session,)))
    return folder.root


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_run_is_found_by_its_path_name_beginning_or_hash() -> None:
    first, second = make("main-1a2b3c4d"), make("main-1a2b9999")
    ducks = make("ducks-00ff00ff")
    assert find_run(str(first)) == first
    assert find_run("main-1a2b3c4d") == find_run("main-1a2b3") == find_run("1a2b3c") == first
    assert find_run("ducks") == find_run("00ff") == ducks
    with pytest.raises(BenchError, match=r"main is several runs: .*Give more of the name"):
        find_run("main")
    with pytest.raises(BenchError, match=r"unknown run 'duks'\. Did you mean 'ducks'"):
        find_run("duks")
    Path("ducks").mkdir()  # a folder here that is no run
    assert find_run("ducks") == ducks
    assert find_run("results/runs/absent") == Path("results/runs/absent")
    assert second.exists()


def test_without_runs_the_message_says_how_to_make_one() -> None:
    with pytest.raises(BenchError, match="`bench run` makes one"):
        find_run("main")
    assert "no runs" in CliRunner().invoke(app, ["list", "runs"]).output


def test_runs_are_listed() -> None:
    make("main-1a2b3c4d", concept="cat", methods=["uce", "esd", "sdd", "time"])
    make("try-00ff00ff", status="running")  # by a process that is gone
    (DEFAULT_PARENT / "bad-1").mkdir()
    (DEFAULT_PARENT / "bad-1" / "plan.yaml").touch()
    lines = CliRunner().invoke(app, ["list", "runs"]).output.splitlines()
    assert lines[0].split() == ["RUN", "CONCEPT", "METHODS", "IMAGES", "STATUS", "DATE"]
    shown = {line.split()[0]: line for line in lines[1:]}
    assert shown["main-1a2b3c4d"].split(maxsplit=1)[1].split() == [
        "cat",
        "uce,",
        "esd,",
        "sdd",
        "and",
        "1",
        "more",
        "8",
        "complete",
        "2026-01-02",
        "03:04",
    ]
    assert "interrupted" in shown["try-00ff00ff"]
    assert "can't be read" in shown["bad-1"]


def test_commands_take_a_short_name() -> None:
    make("main-1a2b3c4d")
    result = CliRunner().invoke(app, ["show", "1a2b"])
    assert result.exit_code == 0, result.output
    assert "main-1a2b3c4d" in result.output or "uce" in result.output
