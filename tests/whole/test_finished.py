"""A finished run answers from what it wrote down, and is looked at in full where anything is other than it was."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from erasebench.engine import finished
from erasebench.engine.finished import finished_tables
from erasebench.engine.run import run
from erasebench.engine.source import code_of
from erasebench.runs.folder import RunFolder
from erasebench.runs.plan import Generation, Plan

PLAN = Plan(
    methods=["esd", "uce"],
    metrics=["concept_rate", "ssim", "train_steps"],
    concept="garbage truck",
    images=4,
    train_steps=2,
    generation=Generation(steps=2, batch_size=2),
)
SCRIPT = """
import sys
from erasebench.cli.app import app

try:
    app(["run", "plan.yaml", "--out", "run"])
except SystemExit as ended:
    assert not ended.code, ended.code
heavy = [name for name in sys.modules if name.partition(".")[0] in ("torch", "diffusers", "transformers", "pandas")]
code = [name for name in sys.modules if name.startswith(("erasebench.methods.", "erasebench.metrics."))]
print("IMPORTED", len(heavy), *code)
"""


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("done")
    (place / "plan.yaml").write_text(PLAN.to_yaml())
    assert run(PLAN, RunFolder(place / "run"), "cpu") == ()
    return place


@pytest.fixture
def folder(done: Path, tmp_path: Path) -> RunFolder:
    """A copy that has been looked at once where it is now."""
    shutil.copytree(done, tmp_path / "copy")
    found = RunFolder(tmp_path / "copy" / "run")
    assert finished_tables(PLAN, found, "cpu") is None
    before = found.table("csv").stat().st_mtime_ns
    assert run(PLAN, found, "cpu") == ()
    assert found.table("csv").stat().st_mtime_ns == before
    return found


def test_it_answers_without_importing_what_made_it(folder: RunFolder) -> None:
    assert finished_tables(PLAN, folder, "cpu") is not None
    told = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=folder.root.parent, capture_output=True, text=True, check=True
    )
    assert "IMPORTED 0\n" in told.stdout
    assert "UCE" in told.stdout
    assert "run is complete" in told.stderr


def changed(file: Path, text: str) -> None:
    file.chmod(0o644)
    file.write_text(text)


HARMS: dict[str, Callable[[RunFolder], object]] = {
    "an image is deleted": lambda folder: min(folder.root.glob("images/esd/**/*.png")).unlink(),
    "a patch is torn": lambda folder: os.truncate(folder.patch("esd", 0), 100),
    "a patch is deleted": lambda folder: folder.patch("uce", 0).unlink(),
    "a score is altered": lambda folder: changed(folder.score("esd", "ssim"), "{}"),
    "a table is altered": lambda folder: changed(folder.table("csv"), "row"),
    "a table is deleted": lambda folder: folder.table("html").unlink(),
    "the record is another": lambda folder: changed(folder.status, "{}"),
    "what was noted is torn": lambda folder: changed(folder.finished, "{"),
}


@pytest.mark.parametrize("harm", HARMS)
def test_where_a_file_is_not_as_it_was_nothing_is_said(harm: str, folder: RunFolder) -> None:
    HARMS[harm](folder)
    assert finished_tables(PLAN, folder, "cpu") is None


def test_what_was_taken_out_of_the_folder_is_put_back(folder: RunFolder) -> None:
    images = sorted(folder.root.glob("images/*/**/*.png"))
    for file in (images[0], images[-1]):
        file.unlink()
    assert run(PLAN, folder, "cpu") == ()
    assert sorted(folder.root.glob("images/*/**/*.png")) == images
    assert finished_tables(PLAN, folder, "cpu") is not None


def test_an_image_that_was_altered_is_drawn_again(folder: RunFolder) -> None:
    image = min(folder.root.glob("images/esd/**/*.png"))
    before = image.read_bytes()
    image.chmod(0o644)
    image.write_bytes(before[:-60] + bytes([before[-60] ^ 1]) + before[-59:])
    assert run(PLAN, folder, "cpu") == ()
    assert image.read_bytes() == before
    assert finished_tables(PLAN, folder, "cpu") is not None


def test_another_plan_device_place_or_store_is_looked_at_in_full(folder: RunFolder, tmp_path: Path) -> None:
    assert finished_tables(PLAN.model_copy(update={"images": 5}), folder, "cpu") is None
    assert finished_tables(PLAN, folder, "cuda:1") is None
    assert finished_tables(PLAN, folder, "cpu", tmp_path / "other") is None
    assert finished_tables(PLAN, folder, "cpu", folder.store) is not None
    moved = folder.root.rename(tmp_path / "moved")
    assert finished_tables(PLAN, RunFolder(moved), "cpu") is None


def test_other_packages_processors_or_code_are_looked_at_in_full(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, other in (
        ("packages", lambda: {"torch": "another"}),
        ("hardware", lambda device: "another processor"),
        ("hardware", lambda device: None),
        ("code_of", lambda names: {"erasebench": ["another"]}),
    ):
        with monkeypatch.context() as patched:
            patched.setattr(finished, name, other)
            assert finished_tables(PLAN, folder, "cpu") is None
    assert finished_tables(PLAN, folder, "cpu") is not None


def test_code_is_told_by_its_files_without_importing_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "some_plug_in"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    (package / "method.py").write_text("rate = 1")
    monkeypatch.syspath_prepend(tmp_path)
    before = code_of(["some_plug_in"])
    assert code_of(["some_plug_in"]) == before
    (package / "method.py").write_text("rate = 2")
    assert code_of(["some_plug_in"]) != before


def test_a_run_with_failures_is_not_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from erasebench.engine import executor

    def fails(*_: object) -> str:
        raise RuntimeError("no")

    monkeypatch.setattr(executor.Executor, "_score", fails)
    folder = RunFolder(tmp_path / "run")
    assert run(PLAN, folder, "cpu") != ()
    assert not folder.finished.exists()
