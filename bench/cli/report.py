"""Pages that people open, and what they exchange: report, entry, leaderboard."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..errors import BenchError
from .shared import RunArgument, run_named

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
    beside: Annotated[
        bool,
        typer.Option("--beside", help="Put small copies of all images in a folder beside the page, not a part in it."),
    ] = False,
) -> None:
    """Write one page of a run, or of several, for a browser.

    Leaderboard, pictures, plots, tables of attacks and purification, a spectrum's words, how it was made. It opens
    offline in any browser. Runs that are unfinished, failed or damaged are shown as far as they are there.

    Example: bench report results/runs/main-1a2b3c4d --to report.html
    """
    from ..report.web.opened import open_runs
    from ..report.web.page import write_page
    from ..runs.progress import StageBars

    if inline < 0:
        raise BenchError(f"--inline {inline:g}: give MB, 0 or more.")
    if link and beside:
        raise BenchError("--link and --beside: give one. The first shows the runs' own images, the second copies.")
    found = open_runs(runs)
    with StageBars() as bars:
        write_page(found, to, inline, link, bars.reach, is_beside=beside)
    typer.echo(f"{to} ({to.stat().st_size / 1e6:.1f} MB)")


def entry(
    folder: RunArgument,
    to: Annotated[Path, typer.Option(help="The file to write.")] = Path("entry.json"),
    name: Annotated[str | None, typer.Option(help="What the entry is called; the run's folder by default.")] = None,
) -> None:
    """Write a run's numbers as a small file to share.

    It has every value with its interval and n, the metrics' versions, and what has to be equal for others to be
    compared with it; no images, no paths, no names of persons or machines but the device's model.

    Example: bench entry results/runs/main-1a2b3c4d --to mine.json
    """
    from ..report.web.entry import entry_of, write_entry
    from ..report.web.opened import open_run

    if name is not None and not name.strip():
        raise BenchError("--name is empty. Say what the entry is called, or leave it out.")
    found = entry_of(open_run(folder))
    write_entry(found if name is None else found.model_copy(update={"name": name}), to)
    typer.echo(str(to))


def leaderboard(
    sources: Annotated[
        list[Path], typer.Argument(metavar="RUN|FOLDER|FILE...", help="Runs, entries, folders of entries.")
    ],
    to: Annotated[Path, typer.Option(help="The file to write.")] = Path("leaderboard.html"),
    published: Annotated[
        bool, typer.Option("--published", help="Also show published numbers, in tables of their own.")
    ] = False,
) -> None:
    """Write a page of many runs' and people's results.

    Numbers stand in one table only where they can be compared: same model, concept, prompts, noise, drawing, scoring
    and protocol; and in one column only where the metric's version is the same.

    Example: bench leaderboard mine.json theirs.json results/runs/main-1a2b3c4d --to leaderboard.html
    """
    from ..report.paper_table import PUBLISHED
    from ..report.web.entries import entries_of, write_leaderboard
    from ..report.web.entry import published_entry

    found = entries_of(sources) + ([published_entry(PUBLISHED)] if published else [])
    write_leaderboard(found, to)
    typer.echo(str(to))
