"""A paper's size on many workers, simulated: how busy they are, and what keeps them from being busier."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..engine.graph import Graph
from ..engine.simulate import Simulation, simulate
from ..engine.tasks import Kind, Task
from ..images.shards import SHARD

SETS = {"coco": 30_000, "concept": 4_703, "objects": 1_000}  # images of each row
LOOKS = {"coco": ("clip", "distance"), "concept": ("nudenet",), "objects": ("clip",)}
SCORES = {"coco": ("fid", "clip_score"), "concept": ("nudenet_rate",), "objects": ("ssim", "object_rate")}
WORDS: dict[Kind, str] = {
    "erase": "trainings, before which their rows' images can't be drawn",
    "draw": "the last images",
    "look": "the last images to be looked at",
    "score": "the last scores",
    "attack": "the last attacks",
}
STEPS = 1_000  # of a training


@dataclass(frozen=True)
class Durations:
    """Seconds of the pieces of a run on one worker.

    Attributes:
        image: to draw one.
        look: of one encoder at one image.
        step: of a training.
        score: of a table's cell, once all is seen.
    """

    image: float = 0.28
    look: float = 0.01
    step: float = 1.5
    score: float = 60.0

    def of(self, task: Task) -> float:
        """Seconds of a task."""
        each = {"draw": self.image, "look": self.look, "erase": self.step, "score": self.score}
        return each[task.kind] * task.size


def paper_graph(methods: int = 12) -> Graph:
    """The tasks of a plan of a paper's size: so many trainings, 35,703 images of each row and of the original."""
    graph = Graph()
    for row in ["original", *(f"method-{k + 1}" for k in range(methods))]:
        training = None if row == "original" else 0
        erased = () if training is None else (graph.add(Task("erase", row, training=training, size=STEPS)),)
        for name, images in SETS.items():
            seen: list[Task] = []
            for part, start in enumerate(range(0, images, SHARD)):
                size = min(SHARD, images - start)
                drawn = graph.add(Task("draw", row, name, training, part, size=size), erased)
                looks = (Task("look", row, name, training, part, encoder, size) for encoder in LOOKS[name])
                seen += [drawn, *(graph.add(look, (drawn,)) for look in looks)]
            for score in SCORES[name]:
                graph.add(Task("score", row, score), tuple(seen))
    return graph


def scale_lines(workers: Sequence[int], durations: Durations, methods: int = 12, slower: float = 1.0) -> Iterator[str]:
    """A table: workers, hours, GPU-hours, share of time at work, and what limits it; then what was assumed.

    The last worker takes `slower` times as long as the others.
    """
    graph = paper_graph(methods)
    yield "| workers | hours | worker-hours | at work | what limits it |"
    yield "|---:|---:|---:|---:|---|"
    for count in workers:
        slow = {} if slower == 1 else {count - 1: slower}
        found = simulate(graph, durations.of, count, slower=slow)
        hours = found.seconds / 3600
        yield f"| {count} | {hours:.1f} | {hours * count:.1f} | {found.utilisation:.1%} | {limit(found)} |"
    images = graph.total("draw")
    yield ""
    yield (
        f"{images:,} images of {methods + 1} rows, {methods} trainings of {STEPS:,} steps, {len(graph.needs):,} tasks; "
        f"{durations.image:g} s an image, {durations.step:g} s a training step, {durations.look:g} s a look of an "
        f"encoder at an image, {durations.score:g} s a score"
    )


def limit(found: Simulation) -> str:
    """What workers without a task wait for, where that is over a hundredth of their time."""
    kind = max(found.waited, key=lambda kind: found.waited[kind])
    if found.utilisation > 0.99:
        return "the work itself"
    share = found.waited[kind] / (found.workers * found.seconds)
    return f"waiting for {WORDS[kind]}: {share:.0%} of the time; no run is shorter than {found.chain / 3600:.2f} h"
