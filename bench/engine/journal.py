"""A run's journal: its record in run.json, what failed, and how far each stage is."""

from __future__ import annotations

import errno
import time
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from ..errors import ModelUnavailable
from ..report.leaderboard import SUFFIXES
from ..runs.lock import make_room
from ..runs.progress import RunProgress
from ..runs.record import Failure, ModelRecord, RunRecord, Session, write_record
from ..runs.rows import REFERENCE
from ..storage.files import is_there, now
from ..storage.keys import file_hash
from ..storage.reasons import warn
from .prepare import cut_prompts, cut_texts, noted_sets, weights_of
from .tasks import Kind, Task
from .work import by_row

if TYPE_CHECKING:
    from .pool import Event
    from .setup import Setup
    from .work import Work

NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)

NOT_HERE = "it was computed, but its file is not in the run's folder. The same command looks for it again."

STAGES: dict[Kind, Literal["erase", "generate", "score"]] = {
    "erase": "erase",
    "draw": "generate",
    "look": "score",
    "score": "score",
}


class DiskFailed(Exception):
    """Nothing more can be written: no cell can go on."""


class Journal:
    """Keeps run.json true while a run goes on.

    Attributes:
        record: what run.json holds.
        failures: what failed in this session.
        bars: how far the work is.
        nodes: the cluster's machines that work on it, as they come.
    """

    def __init__(self, setup: Setup, work: Work, before: RunRecord | None) -> None:
        self._setup, self._folder = setup, setup.folder
        self._counted: Counter[Task] = Counter()
        self._peaks: dict[str, float] = {}
        self.nodes: Mapping[str, dict[str, Any]] = {}
        self._noted: set[str] = set()  # of them, those that the record has
        self.bars = RunProgress({})
        self._began = time.monotonic()
        self.failures: list[Failure] = []
        self.record = _new_record(setup, work, before)
        write_record(self._folder, self.record)

    def update(self, **changes: Any) -> None:
        """Change fields of the record, and write it."""
        self.record = self.record.model_copy(update=changes)
        write_record(self._folder, self.record)

    def again(self, text: str) -> None:
        """Log and record what is made again, and why."""
        warn(text)
        self.update(remade=(*self.record.remade, text))

    def failed(self, event: Event, lost: list[Task]) -> None:
        """Record a task that is given up, and the scores that are lost with it; the other tasks go on.

        Raises:
            DiskFailed: nothing more can be written.
        """
        task, disk = event.task, event.number in NO_SPACE
        reason = f"{event.text}. Make room, then run the same command again." if disk else event.text
        scores = [one for one in (task, *lost) if one.kind == "score"]
        for score in scores:
            self._folder.score(score.row, score.item).unlink(missing_ok=True)  # of earlier weights or images
        self._add(
            Failure(
                stage="disk" if disk else STAGES[task.kind],
                row=task.row,
                item=task.item if task.kind == "score" else _item(task),
                reason=reason,
                traceback=event.trace,
                lost=tuple(f"{score.row} {score.item}" for score in scores),
            )
        )
        if disk:
            make_room(self._folder)
            raise DiskFailed

    def told(self, event: Event) -> None:
        """Count what is done; a score that its metric could not give is a failure.

        Raises:
            ModelUnavailable: no task can go on.
        """
        task = event.task
        if event.kind == "fatal":
            raise ModelUnavailable(event.text)
        if event.kind == "progress":
            self._counted[task] += event.amount
            self.bars.advance(task.kind, event.amount, event.text)
            return
        if self.nodes.keys() - self._noted:
            self._note_nodes()
        if event.worker:
            self._peaks[event.worker] = max(event.peak, self._peaks.get(event.worker, 0.0))
        self.bars.advance(task.kind, task.size - self._counted.pop(task, 0), task.text)
        if task.kind == "score" and event.text:
            self.without_value(task, event.text)

    def _note_nodes(self) -> None:
        """Record machines as they come: what they drew is found by their devices, whatever ends this session."""
        *earlier, session = self.record.sessions
        self.update(sessions=(*earlier, session.model_copy(update={"nodes": dict(self.nodes)})))
        self._noted = set(self.nodes)

    def conclude(self, work: Work) -> None:
        """Record what the weights and images turned out to be, and scores that are not here though all is done."""
        lost = {cell for failure in self.failures for cell in failure.lost}
        if not any(failure.stage == "disk" for failure in self.failures):
            for row, name, _ in work.cells:
                if f"{row} {name}" not in lost and not is_there(self._folder.score(row, name)):
                    self.without_value(Task("score", row, name), NOT_HERE)
        drawn = cut_prompts(work)
        self.update(
            failures=tuple(self.failures),
            weights=weights_of(self._setup, work),
            truncated=cut_texts(self._setup, work),
            prompts={name: used | {"truncated": drawn[name]} for name, used in self.record.prompts.items()},
            drawn=noted_sets(work),
        )

    @property
    def progress(self) -> str:
        """How far each kind of work is."""
        return self.bars.text

    def without_value(self, task: Task, reason: str) -> None:
        """Record a score that its metric could not give."""
        self._add(
            Failure(stage="score", row=task.row, item=task.item, reason=reason, lost=(f"{task.row} {task.item}",))
        )

    def _add(self, failure: Failure) -> None:
        """One line for pieces of one set that failed alike."""
        for k, known in enumerate(self.failures):
            if known.model_copy(update={"lost": failure.lost}) == failure:
                lost = tuple(dict.fromkeys([*known.lost, *failure.lost]))
                self.failures[k] = known.model_copy(update={"lost": lost})
                return
        self.failures.append(failure)

    def finish(self, status: str) -> None:
        """Write how the session ended; a disk that takes nothing must not hide why."""
        *earlier, session = self.record.sessions
        seconds = round(time.monotonic() - self._began, 1)
        worked = {"nodes": dict(self.nodes), "workers": self._peaks}
        ended = session.model_copy(update={"ended": now(), "seconds": seconds, **worked})
        tables = {suffix: self._folder.table(suffix) for suffix in SUFFIXES} if status != "interrupted" else {}
        hashes = {suffix: file_hash(file) for suffix, file in tables.items() if file.exists()}
        try:
            self.update(status=status, failures=tuple(self.failures), sessions=(*earlier, ended), tables=hashes)
        except OSError as error:
            if error.errno not in NO_SPACE:
                raise


def _item(task: Task) -> str:
    """What of a row failed."""
    seed = "" if task.training is None else f"seed {task.training}"
    return ", ".join(part for part in (task.item, task.encoder, seed) if part)


def _new_record(setup: Setup, work: Work, before: RunRecord | None) -> RunRecord:
    from ..models.provenance import provenance

    source, real = setup.source, work.images.get((REFERENCE, "coco"))
    sessions = before.sessions if before is not None else ()
    return RunRecord(
        fingerprint=work.fingerprint,
        plan=setup.plan.model_dump(mode="json"),
        model=ModelRecord(name=source.name, family=source.family.name, revision=source.revision),
        precision=setup.precision,
        batch_size=setup.drawing.batch_size,
        prompts={name: s.described() for name, s in work.prompt_sets.items()},
        reference=real.planned_key if real else "",
        methods={e.row: e.told for e in work.erasures},
        trainings={
            row: tuple(e.task.seed for e in own if e.training is not None) for row, own in by_row(work.erasures).items()
        },
        metrics={name: metric.version for name, metric in work.metrics.items()},
        weights=before.weights if before is not None else {},
        rows=work.rows,
        timeline=work.timeline,
        labels=work.labels,
        remarks=work.remarks,
        remade=before.remade if before is not None else (),
        sessions=(*sessions, Session(started=now(), provenance=provenance(setup.device))),
    )
