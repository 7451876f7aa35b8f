"""Removing images once nothing needs them, where the plan does not keep them all."""

from __future__ import annotations

from collections import defaultdict

from ..images.image_set import ImageSet
from ..images.set_folder import show_set, stored_name
from ..report.overview import chosen
from ..runs.references import references
from .graph import Graph
from .pool import Event
from .remarks import SAMPLE
from .setup import Setup
from .tasks import Task
from .work import Work

LEVELS = ("none", "sample", "all")
Key = tuple[str, str, int | None]  # row, prompt set and training of an image set


class Removal:
    """Removes a set's images when the last score that is computed from them is done.

    What encoders and detectors saw in them stays, and so does a list of what they were. Images that another run keeps
    stay too.
    """

    def __init__(self, setup: Setup, work: Work, graph: Graph) -> None:
        self._setup, self._work = setup, work
        self._waiting: dict[Key, set[Task]] = defaultdict(set)
        for task in graph.needs:
            if task.kind == "score":
                for key in self._sets_of(task):
                    self._waiting[key].add(task)

    def told(self, event: Event) -> None:
        """Remove what no score waits for any more; one that its metric could not give is tried again, from images."""
        if self._setup.plan.keep_images == "all" or event.kind != "done" or event.task.kind != "score" or event.text:
            return
        for key in self._sets_of(event.task):
            self._waiting[key].discard(event.task)
            if not self._waiting[key]:
                self._remove(self._work.drawn[key], in_overview=True)

    def finish(self) -> None:
        """Remove what is left once the tables and the overview are written."""
        if self._setup.plan.keep_images == "all":
            return
        for key, images in self._work.drawn.items():
            if not self._waiting[key]:
                self._remove(images, in_overview=self._setup.plan.keep_images == "sample")

    def _sets_of(self, task: Task) -> list[Key]:
        joined = self._work.sets_of(task.row, self._work.metrics[task.item])
        sets = (images for one in joined for images in one.each if images.drawn)
        return [(images.row, images.name, images.training) for images in sets]

    def _remove(self, images: ImageSet, in_overview: bool) -> None:
        store, folder = self._setup.store, self._setup.folder.root.absolute()
        with store.settled():  # a run that begins now waits, and then finds what is left
            others = [run for run in references(store).runs if run.folder.absolute() != folder]
            shown = {file for _, file in chosen(images)} if in_overview else set()
            for shard in images.drawn:
                levels = [run.keeps for run in others if ("images", shard.key) in run.entries]
                level = max([self._setup.plan.keep_images, *levels], key=LEVELS.index)
                gone = [
                    stored_name(number)
                    for number, place in enumerate(shard.places)
                    if not (level == "all" or (level == "sample" and place < SAMPLE) or images.files[place] in shown)
                ]
                store.thin("images", images.key_of(shard), gone)
            show_set(images)
