"""How long tasks take on each machine: which of those that go on would be done sooner on another."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from statistics import median

from .tasks import Kind, Task

SLOWER = 3.0  # times as long as on other machines, after which a task is late
LEAST = 60.0  # seconds after which it is late at the earliest: models are loaded meanwhile
Alike = tuple[Kind, str]


class Paces:
    """What tasks took, by machine."""

    def __init__(self) -> None:
        self._begun: dict[Task, tuple[str, float]] = {}
        self._taken: dict[Alike, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))

    def begin(self, task: Task, machine: str, now: float) -> None:
        """Note that a task begins on a machine, at `now` seconds."""
        self._begun[task] = machine, now

    def end(self, task: Task, now: float, done: bool) -> None:
        """Note that it has ended; what it took counts where it is `done`."""
        machine, began = self._begun.pop(task)
        if done:
            self._taken[_alike(task)][machine].append((now - began) / task.size)

    def late(self, machine: str, now: float) -> list[Task]:
        """Tasks that take far longer where they are than such a task did elsewhere, and that `machine` has not."""
        return [
            task
            for task, (where, began) in self._begun.items()
            if where != machine and now - began > max(LEAST, SLOWER * task.size * self._usual(task, where))
        ]

    def _usual(self, task: Task, machine: str) -> float:
        """Seconds of a task's unit elsewhere: the median of those alike, or the most that any of its kind took."""
        alike = _alike(task)
        found = _elsewhere(self._taken.get(alike, {}), machine)
        if found:
            return median(found)
        kind = [taken for (kind, _), taken in self._taken.items() if kind == task.kind]
        return max((pace for taken in kind for pace in _elsewhere(taken, machine)), default=float("inf"))


def _elsewhere(taken: dict[str, list[float]], machine: str) -> list[float]:
    return [pace for where, paces in taken.items() if where != machine for pace in paces]


def _alike(task: Task) -> Alike:
    """Alike are trainings of a row, shards of a prompt set, looks of an encoder, scores of a metric, an attack."""
    return task.kind, {"erase": task.row, "look": task.encoder}.get(task.kind, task.item)


def twin(task: Task) -> Task:
    """The same task begun a second time, or for the first time."""
    return replace(task, aside=not task.aside)
