"""A run that only takes time: its tasks through the real scheduler, with workers that do nothing but wait."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from .graph import Graph
from .pool import Event, Handle
from .schedule import Scheduler
from .tasks import Kind, Task

WAITED_FOR: tuple[Kind, ...] = ("erase", "draw", "look", "attack", "score")
LOOK = 1.0  # seconds after which workers without a task look again
Seconds = Callable[[Task], float]


@dataclass(frozen=True)
class Simulation:
    """What became of a run that only took time.

    Attributes:
        workers: how many there were.
        seconds: until all was done.
        busy: seconds of all workers together.
        waited: seconds of all workers together in which they had none, by what they waited for: the slowest kind of
            task that others had meanwhile, trainings before all else.
        chain: seconds of the longest chain of tasks that need each other: no number of workers takes less.
    """

    workers: int
    seconds: float
    busy: float
    waited: Mapping[Kind, float]
    chain: float

    @property
    def utilisation(self) -> float:
        """The share of the workers' time in which they had a task, in [0, 1]."""
        return self.busy / (self.workers * self.seconds) if self.seconds else 1.0


class SimulatedPool:
    """Workers that take as long as a task would, and do nothing.

    Attributes:
        size: how many there are.
        now: seconds since they began.
        busy: seconds in which they had a task, together.
        waited: seconds in which they had none, together, by what others had.
    """

    places: Mapping[str, dict[str, Any]] = {}

    def __init__(self, size: int, seconds: Seconds, slower: Mapping[int, float]) -> None:
        self.size, self.now, self.busy = size, 0.0, 0.0
        self.waited: dict[Kind, float] = dict.fromkeys(WAITED_FOR, 0.0)
        self._kinds: Counter[Kind] = Counter()  # of the tasks that go on
        self._seconds, self._slower = seconds, slower
        self._ends: list[tuple[float, int, Task]] = []
        self._idle = dict.fromkeys(range(size))

    def idle(self) -> list[int]:
        return list(self._idle)

    def machine(self, worker: int) -> str:
        return f"machine {worker}"

    def other_device(self, worker: int) -> str:
        return ""

    def send(self, worker: int, task: Task) -> None:
        took = self._seconds(task) * self._slower.get(worker, 1.0)
        self.busy += took
        del self._idle[worker]
        self._kinds[task.kind] += 1
        heapq.heappush(self._ends, (self.now + took, worker, task))

    def wait(self, handle: Handle, seconds: float) -> None:
        before, until = self.now, self._ends[0][0]
        looks = self._slower and self._idle  # as the real ones do, at what others have for too long
        self.now = min(until, self.now + LOOK) if looks else until
        others = next(kind for kind in WAITED_FOR if self._kinds[kind])
        self.waited[others] += (self.now - before) * len(self._idle)
        if self.now < until:
            return
        _, worker, task = heapq.heappop(self._ends)
        self._kinds[task.kind] -= 1
        self._idle[worker] = None
        handle(Event("done", task))

    @property
    def left(self) -> float:
        """Seconds that tasks would still take that go on: those that another was faster at."""
        return sum(end - self.now for end, _, _ in self._ends)

    def end(self, worker: int) -> None:
        """None of them hangs."""

    def stop(self) -> None:
        """Nothing goes on."""


def simulate(
    graph: Graph, seconds: Seconds, workers: int, alone: bool = False, slower: Mapping[int, float] | None = None
) -> Simulation:
    """Let so many workers take the time of a graph's tasks, in the order in which they would be done.

    Args:
        graph: the tasks.
        seconds: that each takes.
        workers: each on a machine of its own.
        alone: whether trainings run one at a time with nothing beside them.
        slower: by number, from 0, workers that take so many times as long.
    """
    pool = SimulatedPool(workers, seconds, slower or {})
    Scheduler(graph, pool, lambda event: None, lambda event, lost: None, alone, lambda: pool.now).run()
    return Simulation(workers, pool.now, pool.busy - pool.left, pool.waited, _longest_chain(graph, seconds))


def _longest_chain(graph: Graph, seconds: Seconds) -> float:
    @cache
    def until(task: Task) -> float:
        """Seconds until a task can be done at the earliest."""
        before = [*graph.needs[task], *([graph.after[task]] if task in graph.after else ())]
        return seconds(task) + max(map(until, before), default=0.0)

    return max(map(until, graph.needs), default=0.0)
