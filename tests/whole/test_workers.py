"""Workers: the same numbers as one process, and what happens when one of them, or their parent, is killed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from clusters import members, wait_for

from erasebench.develop.stress import differences
from erasebench.engine.run import run
from erasebench.runs.folder import RunFolder
from erasebench.runs.plan import Generation, Plan
from erasebench.storage.store import Store

PLAN = Plan(
    methods=["esd", "uce"],
    metrics=["concept_rate", "kid", "ssim"],
    concept="garbage truck",
    images=5,
    train_steps=2,
    settings={"esd": {"sampler_steps": 4}},
    generation=Generation(steps=2, batch_size=2),
)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("alone") / "run"
    assert run(PLAN, RunFolder(folder), "cpu") == ()
    return folder


def start(place: Path, name: str = "run") -> subprocess.Popen[bytes]:
    """A run with two workers in a process group of its own."""
    place.mkdir(exist_ok=True)
    (place / "plan.yaml").write_text(PLAN.to_yaml())
    bench = shutil.which("bench", path=str(Path(sys.executable).parent)) or "bench"
    command = [bench, "run", str(place / "plan.yaml"), "--out", str(place / name), "--device", "cpu", "--workers", "2"]
    with (place / f"{name}.log").open("wb") as log:
        return subprocess.Popen(command, stderr=log, stdout=log, start_new_session=True)


def drawn(place: Path) -> int:
    return sum("0000-0.png" in names for _, _, names in os.walk(place / "store"))  # bears that folders move


def test_the_number_of_workers_changes_no_byte(alone: Path, tmp_path: Path) -> None:
    first, second = (start(tmp_path, name) for name in ("run", "twin"))  # at once, with one store
    assert (first.wait(300), second.wait(300)) == (0, 0)
    for name in ("run", "twin"):
        assert differences(alone, tmp_path / name) == []
    wait_for("the server of workers to end", lambda: not members(first.pid), 30)
    training = next((tmp_path / "store" / "training").rglob("*.safetensors"))
    assert training.stat().st_nlink >= 3  # the store's, and both runs show it


def test_a_run_that_is_stopped_leaves_no_process_and_goes_on(alone: Path, tmp_path: Path) -> None:
    """Killed with SIGKILL, which it can not tell its workers; `bench stress` kills workers."""
    stopped = start(tmp_path)
    wait_for("the first images", lambda: drawn(tmp_path) > 2 or stopped.poll() is not None)
    os.kill(stopped.pid, signal.SIGKILL)
    assert stopped.wait(60) == -signal.SIGKILL
    wait_for("the workers to end", lambda: not members(stopped.pid), 30)
    assert start(tmp_path).wait(300) == 0
    assert differences(alone, tmp_path / "run") == []


def test_adding_a_method_or_metric_costs_that_alone(alone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a folder of its own, with the store of the run before."""
    from erasebench.engine import executor

    done: list[tuple[str, str]] = []
    plain = executor.Executor.do

    def counted(self: executor.Executor, task, *rest):  # type: ignore[no-untyped-def]
        done.append((task.kind, task.row))
        return plain(self, task, *rest)

    monkeypatch.setattr(executor.Executor, "do", counted)
    wider = PLAN.model_copy(update={"methods": ["esd", "uce", "sdd"]})
    assert run(wider, RunFolder(alone.parent / "wider"), "cpu") == ()
    assert {row for _, row in done if row not in ("original", "reference")} == {"sdd"}
    assert not [kind for kind, row in done if kind in ("erase", "draw") and row != "sdd"]
    done.clear()
    scored = PLAN.model_copy(update={"metrics": [*PLAN.metrics, "clip_score"]})
    assert run(scored, RunFolder(alone.parent / "scored"), "cpu") == ()
    assert {kind for kind, _ in done} <= {"look", "score"}
    assert {row for kind, row in done if kind == "score"} == {"original", "esd", "uce", "reference"}
    done.clear()
    again = PLAN.model_copy(update={"name": "again", "seeds": [1]})
    assert run(again, RunFolder(alone.parent / "again"), "cpu") == ()
    assert {row for kind, row in done if kind != "look"} == {"esd"}  # looks of the others are kept


def test_the_store_knows_what_its_runs_use(alone: Path) -> None:
    store = Store(alone.parent / "store")
    shown = sorted(alone.glob("images/original/objects/*.png"))
    assert shown
    assert all(file.stat().st_nlink >= 2 for file in shown)  # of this run and the store; other runs show them too
    assert {kind for kind, _, _ in store.entries()} >= {"training", "images", "features", "score"}
