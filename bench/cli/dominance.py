"""`bench dominance`: which concept of a pair wins when both are asked for?"""

from __future__ import annotations

from typing import Annotated

import typer

from ..errors import BenchError
from .shared import DeviceOption, RunArgument, names_of, terminal, with_resume_hint


def dominance(
    folder: RunArgument,
    concepts: Annotated[
        str, typer.Option(help="Built-in things, or what the run erases, with commas; every pair is drawn.")
    ],
    methods: Annotated[str | None, typer.Option(help="Rows of the run with commas; all by default.")] = None,
    images: Annotated[int, typer.Option(help="Of each pair and order.", min=1)] = 4,
    device: DeviceOption = "auto",
) -> None:
    """Ask for two concepts at once: which is drawn?

    By the original and by erased models, from the same noise. Writes dominance.csv, .md, .tex, .html, .json and .png
    into the run's folder. Resumes.

    Example: bench dominance results/runs/main-1a2b3c4d --concepts "garbage truck,bus,cat,house"
    """
    from erasebench.prompts.concepts import canonical_name

    from ..runs.dominance import DominanceRequest
    from ..runs.folder import RunFolder
    from ..runs.record import read_run
    from ..runs.rows import resolve_row

    run = RunFolder(folder)
    plan, _ = read_run(run)
    chosen = tuple(dict.fromkeys(canonical_name(name) for name in names_of(concepts) or ()))
    if len(chosen) < 2:
        raise BenchError(f"--concepts {concepts}: name two at least. `bench list concepts` shows them.")
    rows = tuple(dict.fromkeys(resolve_row(name, list(plan.rows)) for name in names_of(methods) or plan.rows))
    request = DominanceRequest(concepts=chosen, rows=rows, images=images)
    from ..engine.dominance import dominance_run
    from ..models.devices import choose_device
    from ..report.dominance import dominance_views

    def begun(count: int) -> None:
        typer.echo(f"{len(chosen)} concepts in pairs: {count:,} images", err=True)

    with_resume_hint(lambda: dominance_run(run, request, choose_device(device), begun))
    for view in dominance_views(run, plan):
        terminal().print(view)
    typer.echo(f"{run.root / 'dominance.md'} (also .csv, .tex, .html, .json, .png)")
