"""Images that are removed once they are scored: the scores are the same, and nothing draws them again without need."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pytest

from erasebench.engine import executor, work
from erasebench.engine.run import run
from erasebench.metrics.ssim import ssim
from erasebench.runs.folder import RunFolder
from erasebench.runs.plan import Generation, Plan
from erasebench.runs.record import read_record
from erasebench.storage.store import Store

PLAN = Plan(
    methods=["uce"],
    metrics=["concept_rate", "nudenet_rate", "ssim"],
    concept="garbage truck",
    images=12,
    generation=Generation(steps=2, batch_size=2),
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    folder = RunFolder(tmp_path_factory.mktemp("whole") / "run")
    assert run(PLAN, folder, "cpu") == ()
    return folder


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The kinds of tasks that are done."""
    found: list[str] = []
    plain = executor.Executor.do

    def counted(self: executor.Executor, task, *rest):  # type: ignore[no-untyped-def]
        found.append(task.kind)
        return plain(self, task, *rest)

    monkeypatch.setattr(executor.Executor, "do", counted)
    return found


@pytest.fixture(autouse=True)
def small_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("erasebench.engine.removal.SAMPLE", 3)
    monkeypatch.setattr("erasebench.report.overview.PER_SET", 1)


def keeping(what: str, **changes: object) -> Plan:
    return PLAN.model_copy(update={"keep_images": what, **changes})


def scores(folder: RunFolder) -> list[list[str]]:
    with folder.table("csv").open(newline="") as file:
        return list(csv.reader(file))


def images(folder: RunFolder, row: str = "uce") -> list[str]:
    return sorted(file.name for file in folder.root.glob(f"images/{row}/objects/*.png"))


@pytest.mark.parametrize(("what", "left"), [("sample", 3), ("none", 0)])
def test_scores_keys_and_notes_stay_and_images_go(what: str, left: int, whole: RunFolder, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    assert run(keeping(what), folder, "cpu") == ()
    assert scores(folder) == scores(whole)
    for row in ("original", "uce"):
        assert len(images(folder, row)) == left
        assert set(images(folder, row)) <= set(images(whole, row))
    store = Store(tmp_path / "store")
    keys = {(kind, key) for kind, key, _ in store.entries()}
    assert keys == {(kind, key) for kind, key, _ in Store(whole.root.parent / "store").entries()}
    pictures = [file for _, _, place in store.entries() for file in place.glob("*.png")]
    assert len(pictures) == 4 * left  # two rows, two sets
    assert (folder.root / "overview.png").exists()
    assert folder.page.exists()
    assert f"keep_images: {what}" in folder.table("md").read_text()
    assert PLAN.key == keeping(what).key


def test_what_is_removed_is_drawn_again_only_for_a_metric_that_reads_it(
    tmp_path: Path, done: list[str], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = RunFolder(tmp_path / "run")
    assert run(keeping("none"), folder, "cpu") == ()
    done.clear()
    folder.table("csv").unlink()
    assert run(keeping("none"), folder, "cpu") == ()
    assert done == []
    other = keeping("none", scoring=PLAN.scoring.model_copy(update={"threshold": 0.4}))
    assert run(other, RunFolder(tmp_path / "threshold"), "cpu") == ()  # from what was detected
    assert "draw" not in done
    assert "score" in done
    assert "drawn again" not in caplog.text
    done.clear()
    monkeypatch.setattr(work.METRICS, "load", _with_a_newer_ssim(work.METRICS.load))
    assert run(keeping("none"), folder, "cpu") == ()
    assert "images of uce, set objects: drawn again because they were removed and ssim needs them" in caplog.text
    assert "set concept: drawn again" not in caplog.text
    assert done.count("draw") == 2
    assert images(folder) == []
    record = read_record(folder)
    assert record is not None
    assert any("ssim needs them" in line for line in record.remade)


def _with_a_newer_ssim(load):  # type: ignore[no-untyped-def]
    from dataclasses import replace

    return lambda name: replace(ssim, version=99) if name == "ssim" else load(name)


def test_what_another_run_keeps_stays(whole: RunFolder, tmp_path: Path) -> None:
    shutil.copytree(whole.root.parent, tmp_path / "both")
    both = tmp_path / "both"
    assert run(PLAN.model_copy(update={"name": "other"}), RunFolder(both / "other"), "cpu", store=both / "store") == ()
    assert run(keeping("none"), RunFolder(both / "third"), "cpu", store=both / "store") == ()
    assert images(RunFolder(both / "other")) == images(whole)
    shutil.rmtree(both / "other")
    shutil.rmtree(both / "run")
    third = RunFolder(both / "third")
    assert images(third) == images(whole)
    third.table("csv").unlink()
    assert run(keeping("none"), third, "cpu") == ()
    assert images(third) == []


def test_a_change_of_mind_is_done_by_the_same_command(whole: RunFolder, tmp_path: Path) -> None:
    shutil.copytree(whole.root.parent, tmp_path / "copy")
    folder = RunFolder(tmp_path / "copy" / "run")
    assert run(keeping("sample"), folder, "cpu") == ()
    assert len(images(folder)) == 3
    assert scores(folder) == scores(whole)
