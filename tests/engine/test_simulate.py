"""A simulated run: time as tasks and workers make it, and a plan of a paper's size."""

from __future__ import annotations

import pytest

from erasebench.develop.scale import Durations, limit, paper_graph, scale_lines
from erasebench.engine.graph import Graph
from erasebench.engine.simulate import simulate
from erasebench.engine.tasks import Task


def test_time_is_that_of_the_tasks() -> None:
    """One training of 10 s, 4 images of 2 s after it, and one of 3 s that needs nothing, by two workers."""
    graph = Graph()
    erased = graph.add(Task("erase", "esd", training=0, size=10))
    for part in range(4):
        graph.add(Task("draw", "esd", "coco", 0, part, size=2), (erased,))
    graph.add(Task("draw", "original", "coco", size=3))
    one, two = (simulate(graph, lambda task: task.size, workers) for workers in (1, 2))
    assert (one.seconds, one.busy, one.utilisation) == (21, 21, 1)
    assert (two.seconds, two.busy, two.chain) == (14, 21, 12)
    assert two.waited == {"erase": 7, "draw": 0, "look": 0, "attack": 0, "score": 0}
    assert two.utilisation == pytest.approx(21 / 28)
    assert limit(one) == "the work itself"
    assert limit(two).startswith("waiting for trainings, before which their rows' images can't be drawn: 25% of")


def test_a_slow_machines_last_task_is_not_waited_for() -> None:
    """Nine shards of 100 s by three workers, of which the last takes ten times as long; then without what it had."""
    graph = Graph()
    for part in range(9):
        graph.add(Task("draw", "esd", "coco", 0, part, size=64))
    even = simulate(graph, lambda task: 100.0, 3)
    assert (even.seconds, even.busy) == (300, 900)
    slow = simulate(graph, lambda task: 100.0, 3, slower={2: 10.0})
    # The others have done all else at 400 s, and then what it has since the beginning: three times 100 s are over.
    assert (slow.seconds, slow.busy) == (500, 8 * 100 + 500 + 100)
    two = simulate(graph, lambda task: 100.0, 2)
    assert two.seconds == 500


def test_sixteen_workers_are_busy_with_a_plan_of_a_papers_size() -> None:
    graph = paper_graph()
    assert graph.total("draw") == 13 * 35_703
    found = simulate(graph, Durations().of, 16)
    assert found.utilisation >= 0.9
    assert found.busy == pytest.approx(sum(map(Durations().of, graph.needs)))
    head, _, row, *_, told = scale_lines([16], Durations(), methods=1)
    assert head.startswith("| workers | hours")
    assert row.startswith("| 16 | ")
    assert told.startswith("71,406 images of 2 rows, 1 trainings of 1,000 steps")
