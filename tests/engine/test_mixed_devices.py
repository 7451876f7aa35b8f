"""Machines with another device than the run is planned on: they draw and look, and the record and tables say what."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from erasebench.engine.crew import Crew
from erasebench.engine.executor import Executor
from erasebench.engine.finished import finished_tables
from erasebench.engine.pool import Handle, outcome
from erasebench.engine.run import run
from erasebench.engine.setup import resolve
from erasebench.engine.tasks import Task
from erasebench.engine.work import unfold
from erasebench.models.provenance import made_on
from erasebench.report.drift.baseline import environment
from erasebench.runs.folder import RunFolder
from erasebench.runs.plan import Generation, Plan, SpectrumSettings
from erasebench.runs.record import devices_of, read_run

pytestmark = pytest.mark.slow

OTHER = "a slower CPU"
PLAN = Plan(
    methods=["uce"],
    metrics=["concept_rate", "ssim", "spectrum"],
    concept="garbage truck",
    images=2,
    generation=Generation(steps=2, batch_size=2),
    spectrum=SpectrumSettings(words=16, levels=1, draws=2),
)


class Mixed:
    """Two workers in this process, of which the second says that its device is another."""

    size = 2

    def __init__(self, executor: Executor) -> None:
        setup = executor.setup
        setup.elsewhere[:] = [OTHER]
        there = replace(setup, here=OTHER)
        self._executors = [executor, Executor(there, unfold(there))]
        self._sent: deque[tuple[int, Task]] = deque()
        self.done: list[tuple[int, Task]] = []
        self.places: Mapping[str, dict[str, Any]] = {"here": {"device": _device()}, "there": {"device": OTHER}}

    def idle(self) -> list[int]:
        return [worker for worker in (1, 0) if worker not in [busy for busy, _ in self._sent]]

    def machine(self, worker: int) -> str:
        return ["here", "there"][worker]

    def other_device(self, worker: int) -> str:
        return ["", OTHER][worker]

    def send(self, worker: int, task: Task) -> None:
        self._sent.append((worker, task))

    def wait(self, handle: Handle, seconds: float) -> None:
        worker, task = self._sent.popleft()
        event = outcome(self._executors[worker], task, handle, 2)
        self.done += [(worker, task)] if event.kind == "done" else []
        handle(event)

    def end(self, worker: int) -> None: ...

    def stop(self) -> None: ...


def _device() -> str | None:
    return made_on("cpu")["device"]


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunFolder, Mixed]:
    folder, pools = RunFolder(tmp_path_factory.mktemp("mixed") / "run"), list[Mixed]()

    def pool(crew: Crew, executor: Executor, tasks: int) -> Mixed:
        pools.append(Mixed(executor))
        return pools[0]

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Crew, "pool", pool)
        assert run(PLAN, folder, "cpu") == ()
    return folder, pools[0]


def test_another_device_draws_and_looks_alone(mixed: tuple[RunFolder, Mixed]) -> None:
    _, pool = mixed
    by = [{task.kind for worker, task in pool.done if worker == number} for number in (0, 1)]
    assert by[1] <= {"draw", "look"}
    assert "draw" in by[1]
    assert {"erase", "score"} <= by[0]


def test_what_it_drew_is_kept_under_its_own_key_and_told(mixed: tuple[RunFolder, Mixed]) -> None:
    folder, pool = mixed
    drawn = {(task.row, task.item): worker for worker, task in pool.done if task.kind == "draw"}
    _, record = read_run(folder)
    assert devices_of(folder) == [_device(), OTHER]
    told = {(one.row, one.name): one.elsewhere for one in record.drawn}
    assert told == {name: {OTHER: 2} for name, worker in drawn.items() if worker == 1}
    note = "2 of 2 drawn on another device, a slower CPU, which gives other last digits"
    assert (folder.root / "leaderboard.md").read_text().count(note) == len(told)
    assert environment(record)["other devices of images"] == OTHER
    work = unfold(resolve(PLAN, folder, "cpu"))
    devices = {}
    for images in work.drawn.values():
        (shard,) = images.drawn
        entry = images.entry(images.key_of(shard))
        assert entry is not None
        devices[images.row, images.name] = entry.facts["device"]
        is_elsewhere = (images.row, images.name) in told
        assert (images.key_of(shard) == shard.key) == (images.key == images.planned_key) == (not is_elsewhere)
    assert devices == {name: OTHER if worker else _device() for name, worker in drawn.items()}


def test_such_a_run_is_complete_and_another_does_not_take_its_images(
    mixed: tuple[RunFolder, Mixed], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, pool = mixed
    done: list[Task] = []
    plain = Executor.do

    def counted(self: Executor, task: Task, *rest: Any) -> str:
        done.append(task)
        return plain(self, task, *rest)

    monkeypatch.setattr(Executor, "do", counted)
    folder.finished.unlink()
    before = folder.table("csv").read_bytes()
    assert run(PLAN, folder, "cpu") == ()
    assert (done, folder.table("csv").read_bytes()) == ([], before)
    assert finished_tables(PLAN, folder, "cpu") is not None
    alone = RunFolder(folder.root.with_name("alone"))
    assert run(PLAN, alone, "cpu") == ()
    again = {(task.row, task.item) for task in done if task.kind == "draw"}
    assert again == {(task.row, task.item) for worker, task in pool.done if task.kind == "draw" and worker == 1}
    assert read_run(alone)[1].drawn == ()
    assert "other devices of images" not in environment(read_run(alone)[1])
    assert "another device" not in alone.table("md").read_text()
