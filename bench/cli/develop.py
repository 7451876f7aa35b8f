"""Commands for people who add methods or work on the bench: tune, new, check, stress."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import unknown
from .shared import DeviceOption, names_of, terminal, with_resume_hint
from .working import StoreOption, WorkersOption, Working

if TYPE_CHECKING:
    from ..erasure.contract import Finding
    from ..runs.folder import RunFolder
    from ..runs.plan import Plan


def tune(
    methods: Annotated[str, typer.Option(help="all, every, or names with commas.")] = "every",
    concepts: Annotated[
        str, typer.Option(help="What to tune on, with commas; never what is reported.")
    ] = "cat,french horn",
    out: Annotated[Path, typer.Option(help="The table to write.")] = Path("results") / "tuning.csv",
    runs: Annotated[Path, typer.Option(help="For the runs of the rounds; the same again resumes.")] = Path(
        "results/runs"
    ),
    device: DeviceOption = "auto",
    store: StoreOption = None,
    workers: WorkersOption = None,
) -> None:
    """Find each method's settings for the embedded model.

    The grid and the criterion are the same for every one. A training that fails is a point without scores.

    Example: bench tune --methods esd,sdd --out tuning.csv
    """
    working = Working(workers, store)
    working.begin()
    from ..develop.tuning import tune as find_settings
    from ..engine.run import run as run_plan
    from ..models.devices import choose_device
    from ..report.terminal import sheet_of, terminal_table
    from ..runs.folder import RunFolder
    from ..runs.plan_file import resolve_methods
    from ..storage.files import write_csv

    names, chosen = resolve_methods(names_of(methods) or []), choose_device(device)

    def run(plan: Plan, name: str) -> RunFolder:
        folder = RunFolder(runs / name)
        job = partial(run_plan, plan, folder, chosen, workers=working.workers, store=working.store)
        for failure in with_resume_hint(job):
            typer.echo(f"no scores: {failure.cell}: {failure.reason}", err=True)
        return folder

    results = find_settings(names, names_of(concepts) or [], run)
    write_csv(out, results)
    terminal().print(terminal_table("Chosen", sheet_of(results[results["chosen"]], "{:g}".format)))
    typer.echo(f"{out}: all {len(results)} points")


def stress(
    kills: Annotated[int, typer.Option(help="Kill at least so many times.", min=1)] = 200,
    seed: Annotated[int, typer.Option(help="Of the moments.")] = 0,
) -> None:
    """Kill small runs at random moments: is anything lost?

    Some of their files are altered in between.

    Example: bench stress --kills 30
    """
    os.environ["OMP_NUM_THREADS"] = "1"
    from ..develop.stress import stress as lines

    with tempfile.TemporaryDirectory() as folder:
        for line in lines(kills, seed, Path(folder)):
            typer.echo(line)


def new(
    what: Annotated[str, typer.Argument(help="method, metric or attack.")],
    name: Annotated[str, typer.Argument(help="Small letters, digits and dashes.")],
    to: Annotated[Path | None, typer.Option(help="A folder for a package of its own.")] = None,
) -> None:
    """Write a working method, metric or attack, and its test.

    Into a checkout of erasebench, or as a package of its own.

    Example: bench new method my-method
    """
    from ..develop.scaffold import new_attack, new_method, new_metric

    kinds = {"method": new_method, "metric": new_metric, "attack": new_attack}
    if what not in kinds:
        raise unknown("kind of file", what, kinds, "bench new --help")
    files = kinds[what](name, to)
    for file in files:
        typer.echo(file)
    package = next((file.parent for file in files if file.name == "pyproject.toml"), None)
    registered = name.replace("-", "_") if what == "metric" else name
    typer.echo(f"next: {f'pip install -e {package} && ' if package else ''}bench check {registered}")


def check(name: Annotated[str, typer.Argument(help="A registered method, metric or attack.")]) -> None:
    """Check that a method, metric or attack keeps its contract.

    Runs on the embedded model. Remarks break nothing.

    Example: bench check esd
    """
    from ..erasure.contract import Outcome
    from ..registry import ATTACKS, METHODS, METRICS

    if name in METRICS.entries():
        checks = _metric_checks(METRICS.load(name))
    elif name in METHODS.entries() or name in METHODS.aliases():
        checks = _method_checks(METHODS.load(name))
    elif name in ATTACKS.entries():
        checks = _attack_checks(ATTACKS.load(name))
    else:
        known = [*METHODS.names(), *METHODS.aliases(), *METRICS.names(), *ATTACKS.names()]
        raise unknown("method, metric or attack", name, known, "bench list methods`, `metrics` or `attacks")
    broken = False
    for found in checks:
        typer.echo(f"{found.outcome:11}  {found.check}")
        if found.text:
            typer.echo(f"{'':11}  {found.text}")
        broken = broken or found.outcome == Outcome.BROKEN
    if broken:
        raise typer.Exit(1)


def _method_checks(method: Any) -> Iterator[Finding]:
    from ..erasure.contract import Subject, checks_of, run_checks
    from ..models.catalog import find_model
    from ..models.loading import load_model

    return run_checks(Subject(method, load_model(find_model("mini"), "cpu")), checks_of(method))


def _metric_checks(metric: Any) -> Iterator[Finding]:
    from ..erasure.contract import run_checks
    from ..scoring.contract import CHECKS, MetricSubject

    return run_checks(MetricSubject(metric), CHECKS)


def _attack_checks(attack: Any) -> Iterator[Finding]:
    from ..attacking.contract import CHECKS, AttackSubject
    from ..erasure.contract import run_checks
    from ..models.catalog import find_model
    from ..models.loading import load_model

    return run_checks(AttackSubject(attack, load_model(find_model("mini"), "cpu")), CHECKS)


def remake(
    only: Annotated[str | None, typer.Option(help="Steps with commas; all by default.")] = None,
    runs: Annotated[Path, typer.Option(help="For the runs' folders; the same again resumes.")] = Path("results/runs"),
    show: Annotated[bool, typer.Option("--list", help="Print the steps and what each took the last time.")] = False,
) -> None:
    """Make all committed results again, in a checkout.

    Hours on two cores; an interrupted one goes on where it was.

    Example: bench remake --only methods,table1
    """
    from ..develop.remake import remake as make
    from ..develop.remake import steps, took

    root = Path.cwd()
    if show:
        for step in steps(runs, root):
            typer.echo(f"{step.name:10} {step.about}\n{'':10} {took(root, step.name)}")
        return
    make(names_of(only) or [], runs, root, typer.echo)
