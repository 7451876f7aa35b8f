"""The same small run by workers of this machine and of a Ray cluster: starting them, and the work itself."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...engine.executor import Executor
from ...engine.graph import lacking
from ...engine.local import Local
from ...engine.pool import Event, Pool
from ...engine.prepare import register
from ...engine.ray_request import RayRequest
from ...engine.schedule import Scheduler
from ...engine.setup import resolve
from ...engine.tasks import Task
from ...engine.work import unfold
from ...errors import BenchError
from ...runs.folder import RunFolder
from ...runs.plan import Generation, Plan
from ...runs.rows import ORIGINAL

Start = Callable[[Executor], Pool]


@dataclass(frozen=True)
class Took:
    """Seconds of one run.

    Attributes:
        start: until every worker has answered.
        work: of all tasks then.
    """

    start: float
    work: float


def measure_cluster(workers: int, address: str, device: str, images: int, steps: int, rounds: int) -> Iterator[str]:
    """A table of both, each the fastest of its rounds, and the ratio.

    Args:
        workers: of each.
        address: the cluster's.
        device: "cpu" or "cuda".
        images: of each prompt set.
        steps: of the training.
        rounds: of both in turn.
    """
    from ...engine.ray_cluster import Cluster
    from ...engine.ray_pool import RayPool

    plan = Plan(
        methods=["esd", "uce"],
        metrics=["concept_rate", "ssim", "kid"],
        concept="garbage truck",
        images=images,
        train_steps=steps,
        generation=Generation(batch_size=8),
    )
    here, there = list[Took](), list[Took]()
    for _ in range(rounds):
        with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
            here.append(_run(plan, Path(folder), device, lambda executor: Local(executor.setup, workers), workers))
        with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
            setup = resolve(plan, RunFolder(Path(folder) / "run"), device)
            cluster = Cluster(setup, RayRequest(address))
            try:
                cluster.room_for(workers)

                def start(executor: Executor, cluster: Cluster = cluster) -> Pool:
                    return RayPool(executor, cluster, workers)

                there.append(_run(plan, Path(folder), device, start, workers))
            finally:
                cluster.leave()
    yield "| workers | start-up, s | work, s |"
    yield "|---|---:|---:|"
    for name, took in (("this machine", here), ("the cluster", there)):
        yield f"| {workers} of {name} | {min(one.start for one in took):.1f} | {_work(took):.1f} |"
    yield ""
    yield (
        f"at work the cluster takes {_work(there) / _work(here):.2f} times as long; the fastest of {rounds} rounds, "
        f"{images} images a set, {steps} training steps"
    )


def _work(took: Sequence[Took]) -> float:
    return min(one.work for one in took)


def _run(plan: Plan, place: Path, device: str, start: Start, workers: int) -> Took:
    """One run in an empty store, once every worker has said that a shard is there which this process has drawn."""
    setup = resolve(plan, RunFolder(place / "run"), device)
    work = unfold(setup)
    executor = Executor(setup, work)
    name = next(name for row, name in work.images if row == ORIGINAL)
    first = Task("draw", ORIGINAL, name)
    executor.do(first, lambda amount, text: None)
    began = time.perf_counter()
    pool = start(executor)
    answered = list[Event]()
    try:
        asked = set[int]()
        while len(answered) < workers:
            for worker in set(pool.idle()) - asked:
                pool.send(worker, first)
                asked.add(worker)
            pool.wait(lambda event: answered.append(event) if event.kind == "done" else None, 0.5)
        ready = time.perf_counter()
        register(setup, work, executor.contexts)
        graph = lacking(setup, work, executor.contexts)
        Scheduler(graph, pool, lambda event: None, _failed).run()
        return Took(ready - began, time.perf_counter() - ready)
    finally:
        pool.stop()


def _failed(event: Event, lost: list[Task]) -> None:
    raise BenchError(f"{event.task.text}: {event.text}")
