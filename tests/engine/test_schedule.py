"""The scheduler, with a pool that does nothing: every task is done once or given up once, whatever fails."""

from __future__ import annotations

import random
from collections import Counter, deque
from collections.abc import Mapping
from typing import Any

import pytest

from erasebench.engine.graph import Graph
from erasebench.engine.paces import LEAST, twin
from erasebench.engine.pool import Event, Handle
from erasebench.engine.schedule import DEATHS, SILENCE, Scheduler
from erasebench.engine.tasks import Kind, Task


class Fake:
    """Ends tasks in a random order, some of them badly."""

    places: Mapping[str, dict[str, Any]] = {}

    def __init__(self, size: int, rng: random.Random, fates: dict[Task, list[str]]) -> None:
        self.size, self._rng, self._fates = size, rng, fates
        self._running: dict[int, Task] = {}
        self.done: list[Task] = []
        self.most = Counter[str]()

    def idle(self) -> list[int]:
        return [worker for worker in range(self.size) if worker not in self._running]

    def machine(self, worker: int) -> str:
        return "here"

    def other_device(self, worker: int) -> str:
        return ""

    def send(self, worker: int, task: Task) -> None:
        assert worker not in self._running
        self._running[worker] = task
        kinds = Counter(task.kind for task in self._running.values())
        self.most["erase"] = max(self.most["erase"], kinds["erase"])
        self.most["beside"] = max(self.most["beside"], len(self._running) if kinds["erase"] else 0)

    def wait(self, handle: Handle, seconds: float) -> None:
        if not self._running:
            return
        worker = self._rng.choice(list(self._running))
        task = self._running.pop(worker)
        fate = self._fates.get(task) or ["done"]
        kind = fate.pop(0) if len(fate) > 1 else fate[0]
        if kind == "done":
            self.done.append(task)
        handle(Event(kind, task, trace="a trace" if kind == "failed" else ""))  # type: ignore[arg-type]

    def end(self, worker: int) -> None: ...

    def stop(self) -> None: ...


def random_graph(rng: random.Random, count: int) -> Graph:
    kinds: list[Kind] = ["erase", "draw", "look", "score"]
    graph = Graph()
    tasks: list[Task] = []
    for k in range(count):
        own = Task(rng.choice(kinds), f"row {rng.randrange(4)}", part=k, size=rng.randrange(1, 9))
        graph.add(own, tuple(rng.sample(tasks, rng.randrange(min(3, len(tasks)) + 1))))
        if tasks and rng.random() < 0.2:
            graph.after[own] = rng.choice(tasks)
        tasks.append(own)
    return graph


def ancestors(graph: Graph, task: Task) -> set[Task]:
    found, left = set[Task](), deque(graph.needs[task])
    while left:
        one = left.popleft()
        if one not in found:
            found.add(one)
            left += graph.needs[one]
    return found


@pytest.mark.parametrize("seed", range(40))
def test_every_task_is_done_once_or_given_up_once(seed: int) -> None:
    rng = random.Random(seed)
    graph = random_graph(rng, 60)
    outcomes = (["failed"], ["failed", "done"], ["died", "died", "done"], ["died"], ["busy", "done"])
    fates = {task: list(rng.choice(outcomes)) for task in graph.needs if rng.random() < 0.3}
    hopeless = {task for task, fate in fates.items() if fate[-1] != "done"}
    pool, lost = Fake(rng.randrange(1, 5), rng, fates), list[Task]()
    order: list[Task] = []

    def given_up(event: Event, others: list[Task]) -> None:
        lost.extend([event.task, *others])

    Scheduler(graph, pool, lambda event: order.append(event.task), given_up).run()
    assert sorted(map(repr, pool.done + lost)) == sorted(map(repr, graph.needs))
    assert set(lost) == {task for task in graph.needs if ({task} | ancestors(graph, task)) & hopeless}
    for k, task in enumerate(order):
        assert ancestors(graph, task) <= set(order[:k])


def test_what_another_run_does_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("erasebench.engine.schedule.WAIT", 0.0)
    graph = Graph()
    task = graph.add(Task("draw", "esd"))
    pool = Fake(1, random.Random(0), {task: ["busy", "busy", "done"]})
    Scheduler(graph, pool, lambda event: None, lambda event, lost: None).run()
    assert pool.done == [task]


def test_a_task_that_kills_its_worker_is_tried_so_often_and_no_more() -> None:
    graph = Graph()
    poison = graph.add(Task("draw", "esd"))
    other = graph.add(Task("draw", "uce"))
    sent: list[Task] = []

    class Counting(Fake):
        def send(self, worker: int, task: Task) -> None:
            sent.append(task)
            super().send(worker, task)

    pool, lost = Counting(1, random.Random(0), {poison: ["died"]}), list[Task]()
    Scheduler(graph, pool, lambda event: None, lambda event, others: lost.append(event.task)).run()
    assert (sent.count(poison), lost, pool.done) == (1 + DEATHS, [poison], [other])


@pytest.mark.parametrize("talks", [False, True])
def test_a_task_that_hangs_is_ended_and_done_by_another(talks: bool) -> None:
    """By time without a word: one that tells of its progress is waited for, however long it takes."""
    now = [0.0]
    graph = Graph()
    tasks = [graph.add(Task("draw", "esd", part=part)) for part in range(3)]

    class Hanging(Fake):
        ended = 0
        hangs = True

        def wait(self, handle: Handle, seconds: float) -> None:
            now[0] += SILENCE / 4
            hung = next((worker for worker, task in self._running.items() if task == tasks[0]), None)
            if hung is None or not self.hangs or now[0] > 10 * SILENCE:
                super().wait(handle, seconds)
            elif self.ended:
                self.hangs = False
                handle(Event("died", self._running.pop(hung)))
            else:
                for worker in [worker for worker in self._running if worker != hung]:
                    self.done.append(self._running.pop(worker))
                    handle(Event("done", self.done[-1]))
                if talks:
                    handle(Event("progress", tasks[0]))

        def end(self, worker: int) -> None:
            assert self._running[worker] == tasks[0]
            self.ended += 1

    pool, told = Hanging(2, random.Random(0), {}), list[str]()

    def given_up(event: Event, others: list[Task]) -> None:
        told.append("lost")

    Scheduler(graph, pool, lambda event: told.append(event.kind), given_up, clock=lambda: now[0]).run()
    assert sorted(map(repr, pool.done)) == sorted(map(repr, tasks))
    assert (pool.ended, "lost" in told) == (0 if talks else 1, False)


class Machines(Fake):
    """Each worker on a machine of its own, and a clock that runs."""

    now = 0.0

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.copies: list[Task] = []

    def machine(self, worker: int) -> str:
        return f"machine {worker}"

    def send(self, worker: int, task: Task) -> None:
        super().send(worker, task)
        self.copies += [task] if task.aside else []

    def wait(self, handle: Handle, seconds: float) -> None:
        self.now += self._rng.choice([1.0, 1.0, 1.0, 500.0])
        if self._rng.random() < 0.5:
            super().wait(handle, seconds)


def test_a_task_that_is_begun_twice_is_told_once_and_fails_only_if_both_do() -> None:
    copies = 0
    for seed in range(30):
        rng = random.Random(seed)
        graph = random_graph(rng, 60)
        fates = {task: ["failed", "failed", "done"] for task in graph.needs if rng.random() < 0.2}
        pool, ends = Machines(4, rng, dict(fates)), Counter[Task]()
        lost: list[Task] = []

        def told(event: Event, ends: Counter[Task] = ends) -> None:
            ends.update([event.task])

        def given_up(event: Event, others: list[Task], lost: list[Task] = lost) -> None:
            lost += [event.task, *others]

        Scheduler(graph, pool, told, given_up, clock=lambda pool=pool: pool.now).run()
        ends.update(lost)
        assert ends == Counter(graph.needs.keys())
        assert {task for task in lost if not ancestors(graph, task) & set(lost)} <= set(fates)
        copies += len(pool.copies)
    assert copies > 20


def test_a_copy_takes_the_place_of_a_task_whose_worker_died() -> None:
    """On machine 0 it never ends; machine 1 has ended two such tasks before, and then has nothing else to do."""
    graph = Graph()
    tasks = [graph.add(Task("draw", "esd", "coco", 0, part)) for part in range(3)]

    class Slow(Machines):
        def wait(self, handle: Handle, seconds: float) -> None:
            self.now += 10.0
            if 1 not in self._running:
                return
            task = self._running.pop(1)
            if task.aside:
                handle(Event("died", self._running.pop(0)))
            self.done.append(task)
            handle(Event("done", task))

    pool, told, lost = Slow(2, random.Random(0), {}), list[Event](), list[Task]()
    Scheduler(graph, pool, told.append, lambda event, others: lost.append(event.task), clock=lambda: pool.now).run()
    assert [event.task for event in told] == [tasks[1], tasks[2], tasks[0]]
    assert (pool.copies, lost) == ([twin(tasks[0])], [])
    assert pool.now == LEAST + 20  # looked at every 10 s; the copy takes 10


def test_trainings_that_are_to_be_compared_run_alone() -> None:
    for alone in (True, False):
        graph = random_graph(random.Random(3), 80)
        pool = Fake(4, random.Random(1), {})
        Scheduler(graph, pool, lambda event: None, lambda event, lost: None, alone).run()
        assert (pool.most["erase"] == 1 and pool.most["beside"] == 1) == alone


def test_tasks_that_need_each_other_are_an_error() -> None:
    graph = Graph()
    first, second = Task("draw", "a"), Task("draw", "b")
    graph.needs = {first: frozenset([second]), second: frozenset([first])}
    with pytest.raises(RuntimeError, match="2 tasks wait for each other"):
        Scheduler(graph, Fake(1, random.Random(0), {}), lambda event: None, lambda event, lost: None).run()
