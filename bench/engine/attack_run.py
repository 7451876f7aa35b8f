"""Attacks on a finished run: those that the store lacks are made, task by task; then the tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace

from ..errors import BenchError, ModelUnavailable
from ..registry import ATTACKS
from ..report.attack_picture import image_of, write_attack_pictures
from ..report.attack_plot import write_attack_plot
from ..report.attacks import write_attack_tables
from ..report.web.page import write_own_page
from ..runs.attacks import DECOY, UNATTACKED, UNDEFENDED, AttackCell, AttackRecord, AttackRequest
from ..runs.folder import RunFolder
from ..runs.lock import locked
from ..runs.progress import RunProgress
from ..runs.record import read_run
from ..storage.files import write_json
from ..storage.links import show
from .attack import attack_of
from .crew import Crew
from .erase import check_weights
from .executor import Executor
from .graph import Graph
from .pool import Event
from .prepare import register
from .ray_request import RayRequest
from .schedule import Scheduler
from .setup import Setup, resolve
from .tasks import UNITS, Task
from .work import Work, unfold

NOT_HERE = "it was made, but the store does not have it. The same command looks for it again."


def attack_run(
    folder: RunFolder,
    request: AttackRequest,
    device: str,
    begun: Callable[[int], None] = lambda workers: None,
    workers: int | None = 1,
    crew: Crew | None = None,
    ray: RayRequest | None = None,
) -> AttackRecord:
    """Make the attacks that are missing, the controls and those on the original among them, and write the tables.

    Args:
        folder: of the run.
        request: what to attack with what.
        device: "cpu", "cuda" or "cuda:N".
        begun: called with the number of workers when the work begins.
        workers: processes that work at the same time; None: as many as the machine has cores or GPUs, and memory for.
        crew: who works, where others have it already.
        ray: otherwise the cluster whose machines work; None for this one.

    Raises:
        BenchError: the folder holds no finished run, a setting is wrong, or a cluster's machines can't work on it.
    """
    plan, _ = read_run(folder)
    setup = replace(resolve(plan, folder, device), attacks=request)
    if setup.source.text_encoders > 1:
        raise BenchError(f"{plan.model} has two text encoders: attacks search the tokens of one. Purify works on it.")
    work = unfold(setup)
    executor = checked(setup, work)
    names = _with_controls(request.names)
    trainings = _attacked(work, request)
    check_weights(setup, (work.trained[key] for key in trainings if key[0] not in UNDEFENDED))
    graph = Graph()
    for row, training in trainings:
        plain = [UNATTACKED] if executor.attacks.find(row, UNATTACKED, training) is None else []
        before = tuple(graph.add(Task("attack", row, name, training)) for name in plain)
        for name in names:
            if before or executor.attacks.find(row, name, training) is None:
                graph.add(Task("attack", row, name, training), before)
    failures: dict[str, str] = {}
    team = nullcontext(crew) if crew is not None or not graph.needs else Crew(setup, workers, ray=ray)
    with team as at_work, locked(folder, plan):
        asked = [(row, name, training) for row, training in trainings for name in (UNATTACKED, *names)]
        planned = [("attack", executor.attacks.key(*one)) for one in asked]
        register(setup, work, executor.contexts, scored=True, beside=planned)
        if at_work is not None:
            _do_tasks(executor, graph, failures, at_work, begun)
        made = {one: executor.attacks.find(*one) for one in asked}
        cells = [cell for cell in made.values() if cell is not None]
        for row, name, _ in (one for one, cell in made.items() if cell is None):
            failures.setdefault(f"{row} {name}", NOT_HERE)
        found = AttackRecord(
            request=request.model_copy(update={"names": names}).model_dump(mode="json"),
            judges=executor.attacks.judges.names,
            labels={row: work.labels[row] for row, _ in trainings if row != DECOY}
            | {DECOY: f"Original, asked for “{executor.attacks.decoy.name}”"},
            attacks={name: attack_of(name).label for name in names},
            access={name: attack_of(name).access for name in names},
            cells=tuple(cells),
            failures=failures,
        )
        write_json(folder.root / "attacks.json", found.model_dump(mode="json"))
        for cell in cells:
            _show_images(executor, cell)
        write_attack_tables(folder, plan, found)
        write_attack_pictures(folder, found)
        write_attack_plot(folder, found)
        write_own_page(folder)
    return found


def checked(setup: Setup, work: Work) -> Executor:
    """What makes the attacks that a setup asks for, once nothing is known to be wrong with them.

    Raises:
        BenchError: a setting or the decoy is wrong.
    """
    executor = Executor(setup, work)
    for name in () if setup.attacks is None else setup.attacks.names:
        executor.attacks.configured(name)
    return executor


def planned_tries(work: Work, request: AttackRequest) -> tuple[int, int]:
    """How many attacks a request means, controls and those on the original among them, and images at most."""
    trainings = len(_attacked(work, request))
    attacks = trainings * (1 + len(_with_controls(request.names)))
    return attacks, (attacks - trainings) * request.targets * request.budget + trainings * request.targets


def _attacked(work: Work, request: AttackRequest) -> list[tuple[str, int | None]]:
    """Rows and training seeds, the original's first."""
    return [*((row, None) for row in UNDEFENDED), *(key for key in work.trained if key[0] in request.rows)]


def _with_controls(names: Sequence[str]) -> tuple[str, ...]:
    """The controls first, and the attacks that are asked for, in the registry's order."""
    controls = [name for name in ATTACKS.names() if attack_of(name).control]
    return tuple(name for name in ATTACKS.names() if name in controls or name in names)


def _do_tasks(
    executor: Executor, graph: Graph, failures: dict[str, str], crew: Crew, begun: Callable[[int], None]
) -> None:
    begun(crew.count)
    pool = crew.pool(executor, len(graph.needs))

    def told(event: Event) -> None:
        if event.kind == "fatal":
            raise ModelUnavailable(event.text)
        bars.advance("attack", 1 if event.kind == "done" else 0, event.text or event.task.text)

    def given_up(event: Event, lost: list[Task]) -> None:
        for task in (event.task, *lost):
            failures[f"{task.row} {task.item}"] = event.text

    try:
        with RunProgress({"attack": (graph.total("attack"), UNITS["attack"])}) as bars:
            Scheduler(graph, pool, told, given_up).run()
    finally:
        pool.stop()


def _show_images(executor: Executor, cell: AttackCell) -> None:
    """Show what came of an attack in the run's folder."""
    entry = executor.setup.store.find("attack", cell.key)
    if entry is not None:
        for name in (name for name in entry.names if name.endswith(".png")):
            show(entry.file(name), image_of(executor.setup.folder, cell, name.removesuffix(".png")))
