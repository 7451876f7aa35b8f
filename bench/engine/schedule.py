"""Tasks in an order that keeps every worker busy: what is ready goes to whoever is idle."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from .graph import Graph
from .paces import Paces, twin
from .pool import Event, Pool
from .tasks import Kind, Task

ORDER: tuple[Kind, ...] = (
    "erase",
    "score",
    "look",
    "draw",
    "attack",
)  # trainings take longest; what ends a row comes next
ELSEWHERE: tuple[Kind, ...] = ("look", "draw")  # what other devices than the planned one are given
DEATHS = 2  # of a worker at one task, after which it is tried once more
TRIES = 2  # of a task that raised what may not happen again
SILENCE = 3600.0  # seconds without a word of a task, until it is taken for stuck
LONGER = 10  # times the longest silence of a task of its kind that ended: so long at least
WAIT = 0.5  # seconds until a task that another run does is looked at again
Group = tuple[str, int | None]  # a row and its training seed: tasks for which a worker has the weights loaded


@dataclass
class Scheduler:
    """Gives tasks to a pool until all are done or can't be.

    Attributes:
        graph: the tasks.
        pool: who does them.
        told: of every event; of "failed" and "died" only when the task is given up.
        given_up: of a task that can't be done, with those that can't either, as they need it.
        alone: whether trainings run one at a time with nothing beside them.
        clock: seconds since whenever.
    """

    graph: Graph
    pool: Pool
    told: Callable[[Event], None]
    given_up: Callable[[Event, list[Task]], None]
    alone: bool = False
    clock: Callable[[], float] = time.monotonic
    _left: dict[Task, set[Task]] = field(default_factory=dict, init=False)  # what each still waits for
    _users: dict[Task, list[Task]] = field(default_factory=dict, init=False)
    _ready: dict[Kind, dict[Group, dict[Task, None]]] = field(default_factory=dict, init=False)
    _later: dict[Task, float] = field(default_factory=dict, init=False)
    _running: set[Task] = field(default_factory=set, init=False)
    _tries: Counter[tuple[Task, str]] = field(default_factory=Counter, init=False)
    _last: dict[int, Group] = field(default_factory=dict, init=False)
    _heard: dict[Task, tuple[int, float]] = field(default_factory=dict, init=False)  # of whom, and when last
    _longest: dict[Kind, float] = field(default_factory=dict, init=False)  # silence, in seconds
    _stuck: dict[Task, float] = field(default_factory=dict, init=False)  # seconds after which it was ended
    _paces: Paces = field(default_factory=Paces, init=False)
    _twice: set[Task] = field(default_factory=set, init=False)  # begun a second time

    def __post_init__(self) -> None:
        self._ready = {kind: {} for kind in ORDER}
        for task, needs in self.graph.needs.items():
            before = {*needs, *([self.graph.after[task]] if task in self.graph.after else ())}
            self._left[task] = before
            for needed in before:
                self._users.setdefault(needed, []).append(task)
            if not before:
                self._make_ready(task)

    def run(self) -> None:
        """Do all tasks.

        Raises:
            RuntimeError: tasks need each other in a circle.
        """
        while self._left:
            for worker in self.pool.idle():
                task = self._next(worker) or self._late(worker)
                if task is None:
                    continue
                self._running.add(task)
                self._last[worker] = task.row, task.training
                self._heard[task] = worker, self.clock()
                self._paces.begin(task, self.pool.machine(worker), self.clock())
                self.pool.send(worker, task)
            if not (self._running or self._later or any(self._ready.values())):
                raise RuntimeError(f"{len(self._left)} tasks wait for each other, such as {next(iter(self._left))}")
            self.pool.wait(self._handle, WAIT)
            self._end_stuck()

    def _end_stuck(self) -> None:
        """End workers that have said nothing for far longer than others at such a task; another tries it then."""
        for task, (worker, moment) in list(self._heard.items()):
            silent = self.clock() - moment
            if task not in self._stuck and silent > max(SILENCE, LONGER * self._longest.get(task.kind, 0.0)):
                self._stuck[task] = silent
                self.pool.end(worker)

    def _hear(self, task: Task, ended: bool) -> None:
        """Note how long a task was silent."""
        worker, moment = self._heard.pop(task)
        if task not in self._stuck:
            self._longest[task.kind] = max(self._longest.get(task.kind, 0.0), self.clock() - moment)
        if not ended:
            self._heard[task] = worker, self.clock()

    def _make_ready(self, task: Task) -> None:
        self._ready[task.kind].setdefault((task.row, task.training), {})[task] = None

    def _next(self, worker: int) -> Task | None:
        """The best task for a worker: trainings, longest first; of others, those of the row that it has loaded."""
        for task in [task for task, moment in self._later.items() if moment <= self.clock()]:
            del self._later[task]
            self._make_ready(task)
        if self._is_exclusive:
            return None
        for kind in ELSEWHERE if self.pool.other_device(worker) else ORDER:
            groups = self._ready[kind]
            if not groups:
                continue
            if kind == "erase":
                task = max((task for group in groups.values() for task in group), key=lambda task: task.size)
            else:
                last = self._last.get(worker)
                task = next(iter(groups[last] if last in groups else next(iter(groups.values()))))
            self._take(task)
            return task
        return None

    @property
    def _is_exclusive(self) -> bool:
        """Whether nothing may begin, as a training runs with nothing beside it, or is to."""
        trains = self._ready["erase"] or any(task.kind == "erase" for task in self._running)
        return bool(self.alone and self._running and trains)

    def _late(self, worker: int) -> Task | None:
        """A task to begin a second time, as it takes far longer where it is than such tasks do on other machines."""
        if self._is_exclusive:
            return None
        late = self._paces.late(self.pool.machine(worker), self.clock())
        mine = self.pool.other_device(worker)  # of another's images one score may take these, another those
        late = [task for task in late if self.pool.other_device(self._heard[task][0]) == mine]
        task = next((task for task in late if task in self._left and task not in self._twice), None)
        if task is None:
            return None
        self._twice.add(task)
        logging.getLogger("erasebench").warning(
            "%s (%s): far slower than such tasks are on other machines, so it is begun on another too",
            task.text,
            task.kind,
        )
        return twin(task)

    def _take(self, task: Task) -> None:
        group, groups = (task.row, task.training), self._ready[task.kind]
        if task in groups.get(group, ()):
            del groups[group][task]
            if not groups[group]:
                del groups[group]

    def _handle(self, event: Event) -> None:
        own, task = event.task, replace(event.task, aside=False)
        if own in self._heard:
            self._hear(own, event.kind != "progress")
        if event.kind == "progress":
            if own in self._left:
                self.told(event)
            return
        self._running.discard(own)
        self._paces.end(own, self.clock(), event.kind == "done")
        silent = self._stuck.pop(own, None)
        if silent is not None and event.kind == "died":
            event = replace(event, text=f"it said nothing for {silent / 60:.0f} min, so its process was ended")
        if task not in self._left or (event.kind in ("busy", "failed", "died") and twin(own) in self._running):
            return  # of two that did it the other was first, or may still do it
        event = replace(event, task=task)
        if event.kind == "busy":
            self._later[task] = self.clock() + WAIT
        elif event.kind in ("failed", "died") and self._may_try_again(event):
            self._make_ready(task)
        elif event.kind in ("failed", "died"):
            self.given_up(event, self._without(task))
        else:
            self._finish(task)
            self.told(event)

    def _may_try_again(self, event: Event) -> bool:
        """Whether it may go better another time: not so for an error that its user can mend, or a full disk."""
        self._tries[event.task, event.kind] += 1
        tries = self._tries[event.task, event.kind]
        return tries <= DEATHS if event.kind == "died" else bool(event.trace) and not event.number and tries < TRIES

    def _finish(self, task: Task) -> None:
        del self._left[task]
        for user in self._users.get(task, ()):
            self._release(user, task)

    def _release(self, user: Task, task: Task) -> None:
        if user in self._left:
            self._left[user].discard(task)
            if not self._left[user]:
                self._make_ready(user)

    def _without(self, task: Task) -> list[Task]:
        """Take a task out, with all that need it; these."""
        lost, found = [task], list[Task]()
        while lost:
            one = lost.pop()
            if one not in self._left:
                continue
            del self._left[one]
            self._take(one)
            found.append(one)
            for user in self._users.get(one, ()):
                if one in self.graph.needs[user]:
                    lost.append(user)
                else:
                    self._release(user, one)
        return found[1:]
