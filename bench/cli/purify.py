"""`bench purify`: does an erased model take the concept out of real images?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..errors import BenchError
from .shared import DeviceOption, RunArgument, names_of, numbers_of, terminal, with_resume_hint


def purify(
    folder: RunArgument,
    images: Annotated[Path, typer.Option(help="A folder of images that show the concept.")],
    others: Annotated[Path | None, typer.Option(help="A folder of images without it, which should stay.")] = None,
    methods: Annotated[str | None, typer.Option(help="Rows of the run with commas; all by default.")] = None,
    strengths: Annotated[str, typer.Option(help="How far towards noise, over 0 to 1.")] = "0.3,0.5,0.7,1",
    steps: Annotated[int, typer.Option(help="Of DDIM, both ways.", min=2, max=999)] = 35,
    device: DeviceOption = "auto",
) -> None:
    """Invert real images and denoise them with the erased models.

    Beside them the original denoises, and each model inverts for itself. Writes purify.csv, .md, .tex, .html, .json and
    purified/ROW.png into the run's folder. Resumes.

    Example: bench purify results/runs/main-1a2b3c4d --images photos --methods ours
    """
    from ..runs.folder import RunFolder
    from ..runs.purification import PurifyRequest
    from ..runs.record import read_run
    from ..runs.rows import resolve_row

    run = RunFolder(folder)
    plan, _ = read_run(run)
    wanted = tuple(numbers_of("--strengths", strengths))
    if not all(0 < strength <= 1 for strength in wanted):
        raise BenchError(f"--strengths {strengths}: each over 0, and 1 at most.")
    rows = tuple(dict.fromkeys(resolve_row(name, list(plan.rows)) for name in names_of(methods) or plan.rows))
    request = PurifyRequest(images=images, others=others, rows=rows, strengths=wanted, steps=steps)
    request.begins()
    from ..engine.purify import purify_run
    from ..models.devices import choose_device
    from ..report.purification import purify_views

    def begun(count: int) -> None:
        typer.echo(f"purifying {images}: {count:,} images to draw", err=True)

    with_resume_hint(lambda: purify_run(run, request, choose_device(device), begun))
    for view in purify_views(run, plan):
        terminal().print(view)
    typer.echo(f"{run.root / 'purify.md'} (also .csv, .tex, .html, .json)")
