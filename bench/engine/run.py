"""A run: what a plan lacks is erased, drawn, looked at and scored, task by task; then the tables."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ModelUnavailable
from ..report.attacks import attack_views
from ..report.leaderboard import SUFFIXES, terminal_tables, write_tables
from ..report.nudenet_sweep import has_detections, nudenet_sweep
from ..report.overview import write_overview
from ..report.searched import write_searched
from ..report.strips import write_strips
from ..report.timeline import write_timeline
from ..report.web.page import write_own_page
from ..runs.attacks import AttackRequest, requested
from ..runs.folder import RunFolder
from ..runs.lock import locked
from ..runs.plan import Plan
from ..runs.record import Failure, RunRecord, read_record
from ..storage.files import is_whole, read_json, write_csv
from ..storage.keys import file_hash
from ..storage.reasons import warn
from .finished import keep_finished
from .setup import Setup, resolve

if TYPE_CHECKING:
    from .crew import Crew
    from .executor import Executor
    from .journal import Journal
    from .pool import Event
    from .ray_request import RayRequest
    from .removal import Removal
    from .work import Work


class Interrupted(KeyboardInterrupt):
    """Ctrl-C or SIGTERM; says how far the run was."""


def run(
    plan: Plan,
    folder: RunFolder,
    device: str,
    begun: Callable[[int], None] = lambda workers: None,
    workers: int | None = 1,
    store: Path | None = None,
    alone: bool = False,
    ray: RayRequest | None = None,
) -> tuple[Failure, ...]:
    """Do what is missing and write the tables; a run that is complete is left as it is.

    Returns what failed: all else is complete.

    Args:
        plan: what to run.
        folder: where; it is made once nothing is known to be wrong with the plan and the model.
        device: "cpu", "cuda" or "cuda:N".
        begun: called with the number of workers when the folder is there and held.
        workers: processes that work at the same time; 1: this one alone; None: as many as the machine has cores or
            GPUs, and memory for.
        store: where results are kept for all runs; None for the one that the run used before, or that lies beside it.
        alone: whether trainings run one at a time with nothing beside them, so that their times compare.
        ray: the cluster whose machines work; None for this one.

    Raises:
        BenchError: the folder belongs to another plan, is in use, or can't be written; a cluster's machines can't work
            on it.
        ModelUnavailable: the model can't be fetched or loaded; a new run leaves no folder.
        Interrupted: on Ctrl-C; what is done is kept.
    """
    setup = resolve(plan, folder, device, store)
    from .attack_run import checked
    from .crew import Crew
    from .erase import bring_all
    from .work import unfold

    work = unfold(setup)  # what is wrong with the plan shows before anything is written
    asked = None if plan.attacks is None else requested(plan.attacks, list(plan.rows), plan.family.name)
    executor, is_new = checked(replace(setup, attacks=asked), work), not folder.plan.exists()
    own = bring_all(setup, work.erasures, executor.model.full)
    executor.work = work = replace(work, remarks=(*work.remarks, *own))
    with Crew(executor.setup, workers, alone, ray) as crew:
        if is_new and crew.is_this_process:
            executor.model.full()
        with locked(folder, plan):
            begun(crew.count)
            failures = _held(executor, crew, alone, is_new)
        return failures if asked is None else (*failures, *_attack(setup, asked, work, crew, not failures))


def _held(executor: Executor, crew: Crew, alone: bool, is_new: bool) -> tuple[Failure, ...]:
    """What is missing of a run whose folder this process holds, and the tables; what failed."""
    from ..images.set_folder import prepare_images
    from .prepare import register

    setup, work, folder = executor.setup, executor.work, executor.setup.folder
    before = read_record(folder)
    complete = before is not None and _is_complete(before, setup, work)
    if complete:
        for images in work.drawn.values():  # some may have been taken out of the folder
            prepare_images(folder, images)
    if before is not None and complete and not setup.store.broken:
        register(setup, work, executor.contexts, scored=True)
        if setup.attacks is None:
            _keep_finished(setup, before)
        return ()
    for remark in work.remarks:
        warn(remark)
    try:
        failures = _go_on(executor, before, crew, alone)
    except ModelUnavailable:
        if is_new:
            shutil.rmtree(folder.root, ignore_errors=True)
        raise
    write_own_page(folder)
    return failures


def _attack(setup: Setup, asked: AttackRequest, work: Work, crew: Crew, is_complete: bool) -> Iterator[Failure]:
    """Make a plan's attacks on those of its rows that are trained; what failed."""
    from .attack_run import attack_run
    from .erase import is_trained

    untrained = {row for (row, _), erasure in work.trained.items() if not is_trained(setup, erasure)}
    rows = tuple(row for row in asked.rows if row not in untrained)
    if not rows:
        return
    found = attack_run(setup.folder, asked.model_copy(update={"rows": rows}), setup.device, crew=crew)
    for cell, reason in found.failures.items():
        row, _, name = cell.partition(" ")
        yield Failure(stage="attack", row=row, item=name, reason=reason)
    if is_complete and not found.failures and (record := read_record(setup.folder)) is not None:
        _keep_finished(setup, record)


def _keep_finished(setup: Setup, record: RunRecord) -> None:
    """Let the next call find at once that nothing is to be done."""
    keep_finished(setup, [*terminal_tables(setup.folder, setup.plan, record), *attack_views(setup.folder, setup.plan)])


def _go_on(executor: Executor, before: RunRecord | None, crew: Crew, alone: bool) -> tuple[Failure, ...]:
    """All tasks and the tables, whatever ends them being recorded."""
    from .journal import DiskFailed, Journal
    from .prepare import register

    setup, work = executor.setup, executor.work
    journal = Journal(setup, work, before)
    try:
        removal = None
        with suppress(DiskFailed):
            removal = _do_tasks(executor, journal, crew, alone)
        journal.conclude(work)
        _write_tables(setup, work, journal)
        if removal is not None:
            removal.finish()
        if not journal.failures:
            register(setup, work, executor.contexts, scored=True)
        journal.finish("failed" if journal.failures else "complete")
        if not journal.failures and setup.plan.attacks is None:
            _keep_finished(setup, journal.record)
    except KeyboardInterrupt:
        journal.finish("interrupted")
        raise Interrupted(journal.progress) from None
    except BaseException:
        journal.finish("failed")
        raise
    return tuple(journal.failures)


def _do_tasks(executor: Executor, journal: Journal, crew: Crew, alone: bool) -> Removal:
    from ..runs.progress import RunProgress
    from .graph import lacking
    from .prepare import prepare, register
    from .removal import Removal
    from .schedule import Scheduler
    from .tasks import UNITS

    setup, work = executor.setup, executor.work
    register(setup, work, executor.contexts)
    graph = lacking(setup, work, executor.contexts)
    prepare(setup, work, executor.contexts, graph, journal.again)
    removal = Removal(setup, work, graph)

    def told(event: Event) -> None:
        journal.told(event)
        removal.told(event)

    pool = crew.pool(executor, len(graph.needs))
    journal.nodes = pool.places
    try:
        with RunProgress({kind: (graph.total(kind), unit) for kind, unit in UNITS.items()}) as journal.bars:
            Scheduler(graph, pool, told, journal.failed, alone).run()
    finally:
        pool.stop()
    return removal


def _write_tables(setup: Setup, work: Work, journal: Journal) -> None:
    folder = setup.folder
    write_tables(folder, setup.plan, journal.record)
    detected = {row: work.labels[row] for row in work.rows if has_detections(folder, row)}
    if detected:
        write_csv(folder.root / "nudenet.csv", nudenet_sweep(folder, detected))
    write_overview(folder, work.images, work.labels)
    if work.timeline:
        write_timeline(folder, work.timeline, work.followed, work.labels)
        write_strips(folder, work.timeline, work.images, work.labels)
        first = {erasure.row: erasure.task.seed for erasure in reversed(work.erasures)}
        write_searched(folder, first, work.labels)


def _is_complete(record: RunRecord, setup: Setup, work: Work) -> bool:
    """Whether all is there, and scores and tables are as they were written."""
    folder = setup.folder
    if record.status != "complete" or record.fingerprint != work.fingerprint:
        return False
    if record.plan["keep_images"] != setup.plan.keep_images:
        return False
    if set(record.tables) != set(SUFFIXES):
        return False
    tables = ((folder.table(suffix), digest) for suffix, digest in record.tables.items())
    if not all(file.exists() and file_hash(file) == digest for file, digest in tables):
        return False
    patches = (folder.patch(erasure.row, erasure.task.seed) for erasure in work.erasures)
    scores = (folder.score(row, name) for row in work.rows for name in work.metrics)
    return all(is_whole(file) for file in patches) and all(read_json(file) is not None for file in scores)
