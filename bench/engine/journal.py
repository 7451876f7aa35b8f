"""A run's journal: its record in run.json, what failed, and how far each stage is."""

from __future__ import annotations

import errno
import time
import traceback
from typing import TYPE_CHECKING, Any

from ..errors import BenchError
from ..report.leaderboard import FORMATS
from ..runs.lock import make_room
from ..runs.record import Failure, ModelRecord, RunRecord, Session, write_record
from ..runs.rows import REFERENCE, SNAPSHOT
from ..storage.files import now
from ..storage.keys import file_hash
from ..storage.reasons import warn
from .work import by_row

if TYPE_CHECKING:
    from ..runs.progress import StageBar
    from .setup import Setup
    from .work import Cells

NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)


class DiskFailed(Exception):
    """Nothing more can be written: no cell can go on."""


class Journal:
    """Keeps run.json true while a run goes on.

    Attributes:
        record: what run.json holds.
        failures: the cells that failed in this session.
    """

    def __init__(self, setup: Setup, cells: Cells, before: RunRecord | None) -> None:
        self._folder = setup.folder
        self._began = time.monotonic()
        self._lost: set[str] = set()  # rows without weights or images
        self._bars: list[StageBar] = []
        self.failures: list[Failure] = []
        self.record = _new_record(setup, cells, before)
        write_record(self._folder, self.record)

    def update(self, **changes: Any) -> None:
        """Change fields of the record, and write it."""
        self.record = self.record.model_copy(update=changes)
        write_record(self._folder, self.record)

    def again(self, text: str) -> None:
        """Log and record what is made again, and why."""
        warn(text)
        self.update(remade=(*self.record.remade, text))

    def failed(self, stage: str, row: str, item: str, error: Exception) -> None:
        """Record a cell's failure; the other cells go on.

        Raises:
            DiskFailed: nothing more can be written.
        """
        disk = isinstance(error, OSError) and error.errno in NO_SPACE
        reason = f"{error}" if not disk else f"{error}. Make room, then run the same command again."
        trace = "" if isinstance(error, BenchError) else traceback.format_exc()
        self.failures.append(
            Failure(stage="disk" if disk else stage, row=row, item=item, reason=reason or repr(error), traceback=trace)  # type: ignore[arg-type]
        )
        if stage in ("erase", "generate"):
            self._lost.add(row.partition(SNAPSHOT)[0])
        if disk:
            make_room(self._folder)
            raise DiskFailed from error

    def is_healthy(self, row: str) -> bool:
        """Whether a row, or the training of a snapshot's row, has weights and images."""
        return row.partition(SNAPSHOT)[0] not in self._lost

    def bar(self, stage: str, total: int, unit: str) -> StageBar:
        """A stage's progress bar."""
        from ..runs.progress import StageBar

        self._bars.append(StageBar(stage, total, unit))
        return self._bars[-1]

    def progress(self) -> str:
        """How far each stage is."""
        return ", ".join(f"{bar.stage} {bar.count}/{bar.total} {bar.unit}" for bar in self._bars)

    def finish(self, status: str) -> None:
        """Write how the session ended; a disk that takes nothing must not hide why."""
        *earlier, session = self.record.sessions
        ended = session.model_copy(update={"ended": now(), "seconds": round(time.monotonic() - self._began, 1)})
        tables = {suffix: self._folder.table(suffix) for suffix in ("csv", *FORMATS)} if status != "interrupted" else {}
        hashes = {suffix: file_hash(file) for suffix, file in tables.items() if file.exists()}
        try:
            self.update(status=status, failures=tuple(self.failures), sessions=(*earlier, ended), tables=hashes)
        except OSError as error:
            if error.errno not in NO_SPACE:
                raise


def _new_record(setup: Setup, cells: Cells, before: RunRecord | None) -> RunRecord:
    from ..models.provenance import provenance

    source, real = setup.source, cells.images.get((REFERENCE, "coco"))
    sessions = before.sessions if before is not None else ()
    return RunRecord(
        fingerprint=cells.fingerprint,
        plan=setup.plan.model_dump(mode="json"),
        model=ModelRecord(name=source.name, family=source.family, revision=source.revision),
        precision=setup.precision,
        prompts={name: s.described() for name, s in cells.prompt_sets.items()},
        reference=real.key if real else "",
        methods={e.row: f"{e.name} {e.method.version}" for e in cells.erasures},
        trainings={
            row: tuple(e.task.seed for e in own if e.training is not None)
            for row, own in by_row(cells.erasures).items()
        },
        metrics={name: metric.version for name, metric in cells.metrics.items()},
        weights=before.weights if before is not None else {},
        rows=cells.rows,
        timeline=cells.timeline,
        labels=cells.labels,
        remarks=cells.remarks,
        remade=before.remade if before is not None else (),
        sessions=(*sessions, Session(started=now(), provenance=provenance(setup.device))),
    )
