"""A run: a plan's rows through erase → draw → score, then the tables."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ..report.leaderboard import FORMATS, write_tables
from ..report.nudenet_sweep import has_detections, nudenet_sweep
from ..report.overview import write_overview
from ..report.timeline import write_timeline
from ..runs.folder import DEFAULT_PARENT, RunFolder
from ..runs.lock import claimed
from ..runs.plan import Plan
from ..runs.record import Failure, RunRecord, read_record
from ..storage.files import read_json, write_csv
from ..storage.keys import file_hash
from ..storage.reasons import warn
from .setup import Setup, resolve

if TYPE_CHECKING:
    from .journal import Journal
    from .loaded_model import LoadedModel
    from .work import Cells


class Interrupted(KeyboardInterrupt):
    """Ctrl-C or SIGTERM; says how far the run was."""


def default_folder(plan: Plan) -> Path:
    """Where a plan's run lies unless --out says otherwise."""
    return DEFAULT_PARENT / f"{'quick-' if plan.quick else ''}{plan.name}-{plan.key[:8]}"


def run(plan: Plan, folder: RunFolder, device: str, begun: Callable[[], None] = lambda: None) -> tuple[Failure, ...]:
    """Run what is missing and write the tables; a run that is complete is left as it is.

    Returns the cells that failed: the others are complete.

    Args:
        plan: what to run.
        folder: where; it is made once nothing is known to be wrong with the plan and the model.
        device: "cpu", "cuda" or "cuda:N".
        begun: called when the folder is there and held.

    Raises:
        BenchError: the folder belongs to another plan, is in use, or can't be written.
        ModelUnavailable: the model can't be fetched or loaded; a new run leaves no folder.
        Interrupted: on Ctrl-C; what is done is kept.
    """
    setup = resolve(plan, folder, device)
    from .loaded_model import LoadedModel
    from .work import unfold

    cells = unfold(plan, setup.source, folder, device)  # what is wrong with the plan shows before anything is written
    model = LoadedModel(setup)
    if not folder.plan.exists():
        model.training()
    with claimed(folder, plan):
        begun()
        before = read_record(folder)
        if before is not None and _is_complete(before, folder, cells):
            return ()
        for remark in cells.remarks:
            warn(remark)
        return _go_on(setup, cells, model, before)


def _go_on(setup: Setup, cells: Cells, model: LoadedModel, before: RunRecord | None) -> tuple[Failure, ...]:
    """The three stages and the tables, whatever ends them being recorded."""
    from .journal import DiskFailed, Journal
    from .stages import draw_all, erase_all, score_all

    journal = Journal(setup, cells, before)
    try:
        try:
            for stage in (erase_all, draw_all, score_all):
                stage(setup, cells, model, journal)
        except DiskFailed:
            pass
        journal.update(failures=tuple(journal.failures))
        _write_tables(setup, cells, journal)
        journal.finish("failed" if journal.failures else "complete")
    except KeyboardInterrupt:
        journal.finish("interrupted")
        raise Interrupted(journal.progress()) from None
    except BaseException:
        journal.finish("failed")
        raise
    return tuple(journal.failures)


def _write_tables(setup: Setup, cells: Cells, journal: Journal) -> None:
    folder = setup.folder
    write_tables(folder, setup.plan, journal.record)
    detected = {row: cells.labels[row] for row in cells.rows if has_detections(folder, row)}
    if detected:
        write_csv(folder.root / "nudenet.csv", nudenet_sweep(folder, detected))
    write_overview(folder, cells.images, cells.labels)
    if cells.timeline:
        write_timeline(folder, cells.timeline, cells.followed, cells.labels)


def _is_complete(record: RunRecord, folder: RunFolder, cells: Cells) -> bool:
    """Whether all is there, and scores and tables are as they were written."""
    if record.status != "complete" or record.fingerprint != cells.fingerprint:
        return False
    if set(record.tables) != {"csv", *FORMATS}:
        return False
    tables = ((folder.table(suffix), digest) for suffix, digest in record.tables.items())
    if not all(file.exists() and file_hash(file) == digest for file, digest in tables):
        return False
    patches = (folder.patch(erasure.row, erasure.task.seed) for erasure in cells.erasures)
    scores = (folder.score(row, name) for row in cells.rows for name in cells.metrics)
    return all(file.exists() for file in patches) and all(read_json(file) is not None for file in scores)
