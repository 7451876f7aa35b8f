"""Nothing is lost: kills, damaged files, failing cells, full disks, two runs at once."""

import errno
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from typer import Exit
from typer.testing import CliRunner

from erasebench.cli.app import app
from erasebench.cli.shared import with_resume_hint
from erasebench.develop.stress import differences
from erasebench.engine import executor
from erasebench.engine.run import run
from erasebench.errors import BenchError, ModelUnavailable, NotScored
from erasebench.models import patch
from erasebench.models.catalog import MINI_WEIGHTS, find_model
from erasebench.report.drift.baseline import baseline_of
from erasebench.report.drift.verdicts import compare_with, exit_status
from erasebench.runs.folder import RunFolder
from erasebench.runs.plan import Generation, Plan
from erasebench.runs.progress import StageBar
from erasebench.runs.record import RunRecord, read_record
from erasebench.storage import files as store
from erasebench.storage import tensors as checkpoint
from erasebench.storage.files import write_json, write_text

PLAN = Plan(
    methods=["esd", "uce"],
    metrics=["concept_rate", "clip_score", "ssim"],
    concept="garbage truck",
    images=3,
    train_steps=2,
    settings={"esd": {"sampler_steps": 4}},
    generation=Generation(steps=2, batch_size=2, precision="fp32"),  # in bf16 threads change more than a level
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("crash") / "run"
    assert run(PLAN, RunFolder(folder), "cpu") == ()
    return folder


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> RunFolder:
    """The run with its store, elsewhere."""
    return RunFolder(shutil.copytree(finished.parent, tmp_path / "results") / "run")


def record_of(folder: RunFolder) -> RunRecord:
    record = read_record(folder)
    assert record is not None
    return record


def test_kills_lose_nothing() -> None:
    """The command forks from a process of its own, which has no other threads; more kills only take longer."""
    bench = shutil.which("bench", path=str(Path(sys.executable).parent)) or "bench"
    done = subprocess.run([bench, "stress", "--kills", "3"], capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ended with the tables, images and weights of the undisturbed one, byte by byte" in done.stdout
    kills = re.search(r"(\d+) kills in \d+ runs", done.stdout)
    assert kills is not None
    assert int(kills[1]) >= 3
    of_workers = re.search(r"(\d+) kills of workers", done.stdout)
    assert of_workers is not None
    assert int(of_workers[1]) >= 1


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-7])


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 4
    file.write_bytes(content)


def empty(file: Path) -> None:
    file.write_bytes(b"")


@pytest.mark.parametrize("harm", [truncate, flip, empty])
@pytest.mark.parametrize(
    "pattern",
    [
        "store/images/**/0001-0.png",
        "store/training/**/*.safetensors",
        "store/training/**/facts.json",
        "store/score/**/score.json",
        "store/features/**/features",
        "store/features/**/entry.json",
        "run/images/uce/objects.json",
        "run/run.json",
        "run/leaderboard.csv",
    ],
)
def test_a_damaged_file_is_named_and_made_again(
    harm: Callable[[Path], None], pattern: str, finished: Path, copy: RunFolder, caplog: pytest.LogCaptureFixture
) -> None:
    file = min(copy.root.parent.glob(pattern))
    if "features" in pattern:  # which is looked at where a score is missing
        shutil.rmtree(copy.root.parent / "store" / "score")
        file = next(iter(set(copy.root.parent.glob(pattern)) & _used_by(copy)))
    file.chmod(0o644)
    harm(file)
    for table in copy.root.glob("leaderboard.*"):  # so that the run is not complete
        if table.name != file.name:
            table.unlink()
    with caplog.at_level(logging.WARNING):
        assert run(PLAN, copy, "cpu") == ()
    if file.name != "leaderboard.csv":
        assert f"{file} is damaged" in caplog.text
    assert differences(finished, copy.root) == []
    assert record_of(copy).status == "complete"


def _used_by(folder: RunFolder) -> set[Path]:
    """Every file of its store."""
    return {file for file in (folder.root.parent / "store").rglob("*") if file.is_file()}


@pytest.mark.parametrize("harm", [truncate, flip, empty, Path.unlink])
def test_what_a_run_shows_is_mended_from_the_store(
    harm: Callable[[Path], None], finished: Path, copy: RunFolder
) -> None:
    for pattern in ("images/esd/concept/seed-0/*.png", "patches/esd/*.safetensors", "scores/esd.ssim.json"):
        file = min(copy.root.glob(pattern))
        file.chmod(0o644)
        harm(file)
    copy.table("csv").unlink()
    assert run(PLAN, copy, "cpu") == ()
    assert differences(finished, copy.root) == []


def test_a_complete_run_whose_scores_or_tables_were_altered_is_not_taken_for_complete(copy: RunFolder) -> None:
    started = len(record_of(copy).sessions)
    run(PLAN, copy, "cpu")
    assert len(record_of(copy).sessions) == started
    for file in (copy.score("esd", "ssim"), copy.table("html")):
        file.chmod(0o644)
        flip(file)
        run(PLAN, copy, "cpu")
        started += 1
        assert len(record_of(copy).sessions) == started


def test_a_damaged_checkpoint_begins_anew_and_damaged_weights_are_never_attached(tmp_path: Path) -> None:
    tensors = {"a": torch.arange(4.0)}
    for harm in (truncate, flip, empty):
        checkpoint.save_tensors(tmp_path / "c", tensors, {"step": 3})
        loaded = checkpoint.load_tensors(tmp_path / "c")
        assert loaded is not None
        assert loaded[1] == {"step": 3}
        harm(tmp_path / "c")
        assert checkpoint.load_tensors(tmp_path / "c") is None
        patch.save_patch(tmp_path / "p", tensors)
        assert torch.equal(patch.load_patch(tmp_path / "p")["a"], tensors["a"])
        harm(tmp_path / "p")
        with pytest.raises(BenchError, match="missing or damaged"):
            patch.load_patch(tmp_path / "p")


def test_a_method_that_raises_is_recorded_shown_and_tried_again(
    tmp_path: Path, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = RunFolder(tmp_path / "run")

    def broken(concept: Any, empty: Any, eta: float) -> Any:
        raise ZeroDivisionError("planted")

    with monkeypatch.context() as planted:
        planted.setattr("erasebench.methods.esd.target", broken)
        (failure,) = run(PLAN, folder, "cpu")
    assert (failure.stage, failure.row, failure.item, failure.reason) == ("erase", "esd", "seed 0", "planted")
    assert "ZeroDivisionError: planted" in failure.traceback
    record = record_of(folder)
    assert (record.status, record.failures) == ("failed", (failure,))
    assert "| ESD | failed | failed | failed |" in folder.table("md").read_text()
    assert "Failed: erase esd seed 0: planted" in folder.table("md").read_text()
    before = folder.patch("uce", 0).stat().st_mtime_ns, folder.score("uce", "ssim").stat().st_mtime_ns
    assert run(PLAN, folder, "cpu") == ()
    assert before == (folder.patch("uce", 0).stat().st_mtime_ns, folder.score("uce", "ssim").stat().st_mtime_ns)
    assert differences(finished, folder.root) == []


def test_a_metric_that_raises_is_recorded_shown_and_tried_again(
    copy: RunFolder, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy.table("csv").unlink()
    shutil.rmtree(copy.root.parent / "store" / "score")
    plain = executor.score

    def broken(folder: Any, name: str, metric: Any, context: Any, images: Any) -> Any:
        if (context.row, name) == ("esd", "ssim"):
            raise RuntimeError("planted")
        if (context.row, name) == ("uce", "clip_score"):
            raise NotScored("not to be had")
        return plain(folder, name, metric, context, images)

    with monkeypatch.context() as planted:
        planted.setattr(executor, "score", broken)
        failures = run(PLAN, copy, "cpu")
    assert {(failure.cell, failure.reason) for failure in failures} == {
        ("score esd ssim", "planted"),
        ("score uce clip_score", "not to be had"),
    }
    rows = {line.split("|")[1].strip(): line for line in copy.table("md").read_text().splitlines() if "|" in line}
    assert (rows["ESD"].count("failed"), rows["UCE"].count("failed"), rows["Original"].count("failed")) == (1, 1, 0)
    assert run(PLAN, copy, "cpu") == ()
    assert differences(finished, copy.root) == []


@pytest.mark.parametrize("after", [0, 1, 5, 12, 16, 22])
def test_a_full_disk_stops_the_run_and_leaves_a_record(
    after: int, tmp_path: Path, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Writing fails after so many files of weights, images and scores; the record fits into the reserve."""
    folder = RunFolder(tmp_path / "run")
    plain, written, lock = store.write_atomically, 0, threading.Lock()

    def full(path: Path, write: Callable[[Path], object]) -> None:
        nonlocal written
        with lock:
            written += path.suffix in (".safetensors", ".png") or path.parent.name == "scores"
            if written > after and (folder.root / ".reserve").exists() and tmp_path in path.parents:
                raise OSError(errno.ENOSPC, "No space left on device", str(path))
        plain(path, write)

    with monkeypatch.context() as planted:
        for module in ("storage.files", "images.files"):
            planted.setattr(f"erasebench.{module}.write_atomically", full)
        (failure,) = run(PLAN, folder, "cpu")
    assert failure.stage == "disk"
    assert "No space left on device" in failure.reason
    assert "Make room, then run the same command again" in failure.reason
    record = record_of(folder)
    assert (record.status, record.failures) == ("failed", (failure,))
    assert "failed" in folder.table("md").read_text()
    assert run(PLAN, folder, "cpu") == ()
    assert differences(finished, folder.root) == []


def test_an_unreadable_model_is_one_message_and_leaves_no_folder(tmp_path: Path) -> None:
    model = shutil.copytree(MINI_WEIGHTS / "pipeline", tmp_path / "model")
    weights = next((model / "unet").glob("*.safetensors"))
    tensors = load_file(weights)
    find_model.cache_clear()
    plan = Plan(**{**PLAN.model_dump(), "model": str(model), "methods": ["uce"], "metrics": ["ssim"], "settings": {}})
    folder = RunFolder(tmp_path / "run")

    def spoil(weights: Path) -> None:
        save_file({name: tensor for name, tensor in tensors.items() if "resnets.0" not in name}, weights)

    spoil(weights)
    with pytest.raises(ModelUnavailable, match=r"unet lacks \d+ tensors"):
        run(plan, folder, "cpu")
    assert not folder.root.exists()

    save_file(tensors, weights)
    find_model.cache_clear()
    assert run(plan, folder, "cpu") == ()
    table = folder.table("md").read_text()
    shutil.rmtree(tmp_path / "store" / "images")
    folder.table("csv").unlink()
    with pytest.MonkeyPatch.context() as planted:
        planted.setattr("erasebench.models.loading.read_pipeline", unreadable)
        with pytest.raises(ModelUnavailable):
            run(plan, folder, "cpu")
    assert record_of(folder).status == "failed"
    assert folder.table("md").read_text() == table


def unreadable(_: object) -> None:
    raise ModelUnavailable("gone")


def test_two_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second says who holds the folder; the first's results are whole."""
    folder, inside, go = RunFolder(tmp_path / "run"), threading.Event(), threading.Event()
    plain = executor.erase

    def waiting(*arguments: Any) -> None:
        inside.set()
        assert go.wait(60)
        return plain(*arguments)

    monkeypatch.setattr(executor, "erase", waiting)
    plan = Plan(**{**PLAN.model_dump(), "methods": ["uce"], "metrics": ["ssim"]})
    found: list[Any] = []
    first = threading.Thread(target=lambda: found.append(run(plan, folder, "cpu")))
    first.start()
    assert inside.wait(60)
    with pytest.raises(BenchError, match=r"is in use by another `bench run` \(process \d+ on .* since 20"):
        run(plan, folder, "cpu")
    go.set()
    first.join()
    assert found == [()]
    assert record_of(folder).status == "complete"
    assert not list(folder.root.rglob(".holder"))


def test_what_a_killed_process_left_is_removed(copy: RunFolder) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    mine = store.temporary_name(copy.root / "scores" / "b.json")
    left = mine.with_name(mine.name.replace(f".{os.getpid()}.", f".{gone.pid}."))
    left.touch()
    mine.touch()
    copy.table("csv").unlink()
    run(PLAN, copy, "cpu")
    assert not left.exists()
    assert mine.exists()


def test_neither_threads_nor_resume_points_change_an_image_or_a_verdict(finished: Path, tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(2 if threads == 1 else 1)
    try:
        run(PLAN, RunFolder(tmp_path / "run"), "cpu")
    finally:
        torch.set_num_threads(threads)
    from erasebench.images.files import read_image

    for file in finished.glob("images/**/*.png"):
        first, second = read_image(file), read_image(tmp_path / "run" / file.relative_to(finished))
        assert isinstance(first, np.ndarray)
        assert isinstance(second, np.ndarray)
        assert np.abs(first.astype(int) - second.astype(int)).max() <= 1
    verdicts = compare_with(baseline_of(RunFolder(finished)), baseline_of(RunFolder(tmp_path / "run")))
    assert exit_status(verdicts) == 0
    assert all("other machine (threads: " in verdict.reason for verdict in verdicts)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_signal_that_python_swallows_stops_at_the_next_step() -> None:
    """An exception within __del__ is printed and ignored."""
    steps: list[int] = []

    class Deleted:
        def __del__(self) -> None:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.01)

    def work() -> None:
        with StageBar("work", 3, "steps") as bar:
            for k in range(3):
                if k == 1:
                    Deleted()
                steps.append(k)
                bar.advance()

    with pytest.raises(Exit) as stopped:
        with_resume_hint(work)
    assert stopped.value.exit_code == 130
    assert steps == [0, 1]
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    StageBar("later", 1, "steps").advance()  # the signal is forgotten with the work that it stopped


def test_the_record_is_validated(copy: RunFolder) -> None:
    content = store.read_json(copy.status) or {}
    write_json(copy.status, {**content, "schema_version": 0})
    with pytest.raises(BenchError, match="schema version 0, not 2"):
        read_record(copy)
    write_json(copy.status, {**content, "rows": 3})
    with pytest.raises(BenchError, match="rows: "):
        read_record(copy)
    write_json(copy.status, {**content, "more": 3})
    with pytest.raises(BenchError, match="more: "):
        read_record(copy)
    write_text(copy.status, "{}")
    result = CliRunner().invoke(app, ["show", str(copy.root)])
    assert "holds no whole run.json" in str(result.exception)


def test_the_records_schema_is_documented() -> None:
    text = (Path(__file__).parents[2] / "docs" / "trust.md").read_text(encoding="utf-8")
    for name, field in RunRecord.model_fields.items():
        assert f"| `{name}` | {field.description} |" in text
