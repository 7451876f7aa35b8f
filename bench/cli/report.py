"""Pages that people open: report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..errors import BenchError
from .shared import run_named

BUDGET = 12.0


def report(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", parser=run_named, help="Runs' folders, or their names in `bench list runs`."),
    ],
    to: Annotated[Path, typer.Option(help="The file to write.")] = Path("report.html"),
    inline: Annotated[float, typer.Option(help="MB of pictures in the page at most; 0 for none.")] = BUDGET,
    link: Annotated[
        bool, typer.Option("--link", help="Show the runs' image files, which have to stay where they are, not copies.")
    ] = False,
) -> None:
    """Write one page of a run, or of several, for a browser.

    Leaderboard, pictures, plots, tables of attacks and purification, a spectrum's words, how it was made. It opens
    offline in any browser. Runs that are unfinished, failed or damaged are shown as far as they are there.

    Example: bench report results/runs/main-1a2b3c4d --to report.html
    """
    from ..report.web.opened import open_runs
    from ..report.web.page import write_page
    from ..runs.progress import StageBar

    if inline < 0:
        raise BenchError(f"--inline {inline:g}: give MB, 0 or more.")
    found = open_runs(runs)
    with StageBar("pictures", 0, "images") as bar:
        write_page(found, to, inline, link, lambda done, total: bar.reach(done, "", total))
    typer.echo(f"{to} ({to.stat().st_size / 1e6:.1f} MB)")
