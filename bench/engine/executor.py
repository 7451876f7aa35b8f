"""Doing a task, in whichever process: all that it needs is loaded when it first asks for it, and stays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from functools import cached_property
from typing import TYPE_CHECKING

from ..errors import BenchError
from ..models.patch import load_patch
from ..runs.attacks import UNDEFENDED
from ..runs.rows import ORIGINAL, REFERENCE, SNAPSHOT
from ..runs.scores import write_score
from .contexts import Contexts
from .draw import draw
from .erase import erase, patch_of
from .loaded_model import LoadedModel
from .score import score
from .setup import Setup
from .tasks import Task
from .work import Work

if TYPE_CHECKING:
    import torch

    from ..images.image_set import ImageSet
    from .attack import Attacks

Report = Callable[[int, str], None]  # how much more of the task is done, in its unit, and a line about it


class Executor:
    """Does tasks of one run.

    Attributes:
        setup: the run's.
        work: its plan unfolded.
        contexts: what scores are given.
    """

    def __init__(self, setup: Setup, work: Work) -> None:
        self.setup, self.work = setup, work
        self.model = LoadedModel(setup)
        self.contexts = Contexts(setup, work, self.model.full)
        self._blind: set[str] = set()  # encoders that could not be had, or failed
        self._patch: tuple[str, Mapping[str, torch.Tensor]] = ("", {})  # the last that was attached

    def do(self, task: Task, report: Report, workers: int = 1) -> str:
        """Do a task, whose results are stored and shown; "" or why it has none.

        Args:
            task: what to do; one that is done already takes no time.
            report: told how it goes on.
            workers: how many processes work at the same time.

        Raises:
            Busy: another process does it.
            Exception: what went wrong.
        """
        with self.setup.store.aside() if task.aside else nullcontext():
            return getattr(self, f"_{task.kind}")(task, report, workers) or ""

    def _erase(self, task: Task, report: Report, workers: int) -> None:
        before = 0

        def told(step: int, text: str) -> None:
            nonlocal before
            report(step - before, f"{erasure.label}: {text}")
            before = step

        erasure = self.work.trained[task.row, task.training]
        erase(self.setup, erasure, self.model.full, told, workers)

    def _draw(self, task: Task, report: Report, workers: int) -> None:
        images = self.work.drawn[task.row, task.item, task.training]
        shard = images.drawn[task.part]
        exact = None if self.setup.precision["generation"] == "fp32" else self.model.full

        def done(count: int) -> None:
            report(count, task.text)

        erasure = self.work.trained.get((task.row, task.training))
        guide = None if erasure is None else erasure.guide
        draw(self.setup, images, shard, self._patch_of(task), guide, self.model.drawing, exact, done)

    def _look(self, task: Task, report: Report, workers: int) -> None:
        """Look ahead: what goes wrong here is told by the score that needs it, which looks again."""
        if task.encoder in self._blind:
            return
        sets = self.work.images[task.row, task.item].each
        images = next(one for one in sets if one.training == task.training)
        try:
            self._see(images.alone(images.shards[task.part]), task.encoder)
        except OSError:
            raise
        except Exception:  # noqa: BLE001  (any encoder's)
            self._blind.add(task.encoder)

    def _see(self, images: ImageSet, encoder: str) -> None:
        if encoder == "nudenet":
            from ..scoring.nudenet import detections

            detections(images, self.setup.device)
        else:
            images.features(self.contexts.encoder(encoder))  # type: ignore[arg-type]

    def _score(self, task: Task, report: Report, workers: int) -> str:
        metric = self.work.metrics[task.item]
        images = self.work.images.get((task.row, metric.prompts or ""))
        record = score(self.setup.store, task.item, metric, self.contexts.of(task.row, metric), images)
        write_score(self.setup.folder.score(task.row, task.item), record)
        for one in self.work.sets_of(task.row, metric):
            if one.row != REFERENCE:
                one.forget()
        return record.failure

    def _attack(self, task: Task, report: Report, workers: int) -> None:
        def say(text: str) -> None:
            report(0, f"{task.text}: {text}")

        patch = {} if task.row in UNDEFENDED else self._patch_of(task)
        self.attacks.run(task.row, task.item, task.training, self.model.full, patch, say)

    @cached_property
    def attacks(self) -> Attacks:
        """The attacks that the run is asked for."""
        from .attack import Attacks
        from .judges import Judges

        if self.setup.attacks is None:
            raise ValueError("this run is not asked for attacks")
        return Attacks(self.setup, self.work, self.setup.attacks, Judges(self.contexts))

    def _patch_of(self, task: Task) -> Mapping[str, torch.Tensor]:
        """The weights of a task's row; {} for the original model."""
        row, _, step = task.row.partition(SNAPSHOT)
        if row == ORIGINAL:
            return {}
        name = f"{task.row}/{task.training}"
        if self._patch[0] != name:
            file = patch_of(self.setup, self.work.trained[row, task.training], int(step) if step else None)
            if file is None:
                raise BenchError(f"the store has no weights of {task.row}. The same `bench run` makes them.")
            self._patch = name, load_patch(file)
        return self._patch[1]
