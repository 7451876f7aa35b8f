"""Which tasks a run lacks, and which must be done before which."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..images.image_set import ImageSet
from ..registry import METRICS
from ..runs.rows import SNAPSHOT, UNRANKED_ROWS
from ..scoring.metric import Metric
from .contexts import Contexts
from .erase import is_trained
from .score import stored_score
from .setup import Setup
from .tasks import Task
from .work import Work


@dataclass
class Graph:
    """Tasks with what they need.

    Attributes:
        needs: by task, those without whose results it can't be done.
        after: by task, one that it had better wait for, as both would compute the same.
        again: sets of images to draw again, by row, prompt set and training, with the metric that needs them: they were
            removed once they had been scored.
    """

    needs: dict[Task, frozenset[Task]] = field(default_factory=dict)
    after: dict[Task, Task] = field(default_factory=dict)
    again: dict[tuple[str, str, int | None], str] = field(default_factory=dict)

    def add(self, task: Task, needs: tuple[Task, ...] = ()) -> Task:
        """Add a task once."""
        if task not in self.needs:
            self.needs[task] = frozenset(needs)
        return task

    def total(self, kind: str) -> int:
        """How much there is to do of a kind, in its unit."""
        return sum(task.size for task in self.needs if task.kind == kind)


def lacking(setup: Setup, work: Work, contexts: Contexts) -> Graph:
    """What the store lacks of a run: missing scores with all that they are computed from, and images to show."""
    return _Lacking(setup, work, contexts).graph


class _Lacking:
    def __init__(self, setup: Setup, work: Work, contexts: Contexts) -> None:
        self.setup, self.work, self.contexts, self.graph = setup, work, contexts, Graph()
        self._drawn: dict[tuple[str, str, int | None], bool] = {}
        self._known: dict[Task, tuple[Task, ...]] = {}  # those to do of each, none where the store has it
        missing = [cell for cell in work.cells if not self._is_scored(*cell)]
        for row, name, metric in missing:
            self._find_removed(row, name, metric)
        for row, training in work.trained:
            self._erase(row, training)
        for images in work.drawn.values():
            self._draws(images)
        first: dict[str, Task] = {}
        for row, name, metric in missing:
            task = self.graph.add(Task("score", row, name), self._before(row, metric))
            if metric.prompts is None and not metric.is_cost and row not in UNRANKED_ROWS:
                before = first.setdefault(name, task)  # what it computes of the original serves all rows
                if before != task:
                    self.graph.after[task] = before

    def _is_scored(self, row: str, name: str, metric: Metric) -> bool:
        trained = (erasure for erasure in self.work.erasures if erasure.row == row)
        if metric.prompts is None and not all(is_trained(self.setup, erasure) for erasure in trained):
            return False
        if not all(self._is_drawn(one) for joined in self.work.sets_of(row, metric) for one in joined.each):
            return False  # without a look under the key of every image
        images = self.work.images.get((row, metric.prompts or ""))
        return stored_score(self.setup.store, name, metric, self.contexts.of(row, metric), images) is not None

    def _is_drawn(self, images: ImageSet) -> bool:
        name = images.row, images.name, images.training
        if name not in self._drawn:
            self._drawn[name] = images.is_drawn
        return self._drawn[name]

    def _find_removed(self, row: str, name: str, metric: Metric) -> None:
        """Note images that were removed and that a missing score needs: not where what it looks with has seen them."""
        sets = [images for joined in self.work.sets_of(row, metric) for images in joined.each if images.is_thinned]
        seen = bool(metric.looks) and not METRICS.entries()[name].package
        if not (seen and all(self.contexts.has_seen(look, images) for images in sets for look in metric.looks)):
            self.graph.again |= {(images.row, images.name, images.training): name for images in sets}

    def _before(self, row: str, metric: Metric) -> tuple[Task, ...]:
        """What a score is computed from, as far as it is missing."""
        if metric.prompts is None:
            return tuple(
                task for name, training in self.work.trained if name == row for task in self._erase(row, training)
            )
        looks = tuple(dict.fromkeys(map(self.contexts.name_of, metric.looks)))
        sets = [images for joined in self.work.sets_of(row, metric) for images in joined.each]
        return tuple(task for images in sets for task in (*self._draws(images), *self._looks(images, looks)))

    def _erase(self, row: str, training: int | None) -> tuple[Task, ...]:
        erasure = self.work.trained[row, training]
        task = Task("erase", row, training=training, size=erasure.steps or 1)
        if task not in self._known:
            self._known[task] = () if is_trained(self.setup, erasure) else (self.graph.add(task),)
        return self._known[task]

    def _draws(self, images: ImageSet) -> tuple[Task, ...]:
        return tuple(
            task
            for part in range(len(images.drawn))
            for task in self._draw(images.row, images.name, images.training, part)
        )

    def _draw(self, row: str, name: str, training: int | None, part: int) -> tuple[Task, ...]:
        images = self.work.drawn[row, name, training]
        shard = images.drawn[part]
        task = Task("draw", row, name, training, part, size=len(shard.places))
        if task not in self._known:
            self._known[task] = self._drawing(task, images, images.key_of(shard))
        return self._known[task]

    def _drawing(self, task: Task, images: ImageSet, key: str) -> tuple[Task, ...]:
        entry, row = images.entry(key), task.row.partition(SNAPSHOT)[0]
        if entry is not None and not (entry.removed and (task.row, task.item, task.training) in self.graph.again):
            return ()
        return (self.graph.add(task, () if row in UNRANKED_ROWS else self._erase(row, task.training)),)

    def _looks(self, images: ImageSet, encoders: tuple[str, ...]) -> list[Task]:
        found: list[Task] = []
        for part, shard in enumerate(() if images.known else images.shards):
            before = self._draw(images.row, images.name, images.training, part) if images.drawn else ()
            for encoder in encoders:
                own = Task("look", images.row, images.name, images.training, part, encoder, len(shard.places))
                found.append(self.graph.add(own, before))
        return found
