"""`bench attack`: does the concept come back when it is asked for cleverly?"""

from __future__ import annotations

from typing import Annotated

import typer

from ..errors import BenchError
from .shared import DeviceOption, RunArgument, names_of, settings_of, terminal, with_resume_hint
from .working import RayOption, ShareOption, WorkersOption, Working


def attack(
    folder: RunArgument,
    attacks: Annotated[str, typer.Option(help="all, or names with commas; `bench list attacks`.")] = "all",
    methods: Annotated[str | None, typer.Option(help="Rows of the run with commas; all by default.")] = None,
    targets: Annotated[int | None, typer.Option(help="Prompts to attack; 50, on the embedded model 8.", min=1)] = None,
    budget: Annotated[int | None, typer.Option(help="Images a prompt; 50, on the embedded model 5.", min=1)] = None,
    decoy: Annotated[
        str | None, typer.Option(help="Another concept, for false alarms; one of another kind by default.")
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="ATTACK.KEY=VALUE, an attack's setting; repeat for more.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of all that is random in attacks.", min=0)] = 0,
    workers: WorkersOption = None,
    ray: RayOption = None,
    gpus_per_task: ShareOption = None,
    device: DeviceOption = "auto",
) -> None:
    """Attack the erased models of a finished run.

    Beside every attack stand two controls with as many images, random tokens and other noise, and the same attack on
    the original. Writes attacks.csv, .md, .tex, .html and .json into the run's folder. Resumes.

    Example: bench attack results/runs/main-1a2b3c4d --attacks concept-inversion --methods esd
    """
    from ..runs.attacks import PlannedAttacks, requested
    from ..runs.folder import RunFolder
    from ..runs.record import read_run

    run = RunFolder(folder)
    plan, _ = read_run(run)
    if not (chosen := names_of(attacks)):
        raise BenchError("--attacks: name an attack, or all. `bench list attacks` shows them.")
    planned = PlannedAttacks(
        names=chosen,
        rows=names_of(methods) or None,
        targets=targets,
        budget=budget,
        decoy=decoy,
        settings=settings_of(settings or []),
        seed=seed,
    )
    request = requested(planned, list(plan.rows), plan.family.name)
    working = Working(workers, ray=ray, share=gpus_per_task)
    working.begin()
    from ..engine.attack_run import attack_run
    from ..models.devices import choose_device
    from ..report.attacks import attack_views

    def begun(count: int) -> None:
        typer.echo(f"attacking {folder}, {count} worker{'s' if count > 1 else ''}", err=True)

    record = with_resume_hint(
        lambda: attack_run(run, request, choose_device(device), begun, workers, ray=working.cluster)
    )
    for view in attack_views(run, plan):
        terminal().print(view)
    typer.echo(f"{run.root / 'attacks.md'} (also .csv, .tex, .html, .json)")
    for cell, reason in record.failures.items():
        typer.echo(f"failed: {cell}: {reason}", err=True)
    if record.failures:
        typer.echo("The same command tries these again.", err=True)
        raise typer.Exit(1)
