"""The command line `bench`: every command is a function in `commands`."""

from __future__ import annotations

import errno
import sys
from importlib.metadata import version
from typing import Annotated

import typer

from ..errors import BenchError
from . import (
    attack,
    develop,
    dominance,
    drift,
    impact,
    learn,
    lists,
    mini,
    publish,
    purify,
    reference,
    report,
    results,
    run,
    spectrum,
    speed,
    store,
)
from .options import BenchApp

app = BenchApp(
    name="bench",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Benchmark concept erasure in text-to-image diffusion models.\n\n"
    "Example: bench run --methods all --concept nudity",
)
HEADINGS = {
    "Run": (
        run.run,
        lists.list_,
        reference.reference,
        learn.learn,
        results.table1,
        spectrum.spectrum,
        attack.attack,
        purify.purify,
        dominance.dominance,
    ),
    "Read": (
        drift.show,
        report.report,
        report.entry,
        report.leaderboard,
        results.table,
        results.compare,
        results.nudenet,
        results.export,
        publish.publish,
        store.store,
    ),
    "Check": (drift.diff, drift.baseline, drift.drift),
    "Extend": (develop.new, develop.check, develop.tune),
    "Develop": (develop.stress, develop.remake),
}
for heading, commands in HEADINGS.items():
    for command in commands:
        app.command(command.__name__.rstrip("_"), rich_help_panel=heading)(command)
app.add_typer(impact.app, name="impact", rich_help_panel="Run")
app.add_typer(speed.app, name="speed", rich_help_panel="Develop")
app.add_typer(mini.app, name="mini", rich_help_panel="Develop")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"erasebench {version('erasebench')}")
        raise typer.Exit


@app.callback()
def _root(
    show_version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None: ...


def main() -> None:
    """The command `bench`."""
    try:
        app()
    except BenchError as error:
        typer.echo(f"bench: {error}", err=True)
        sys.exit(2)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS, errno.EIO):
            raise
        typer.echo(f"bench: {error}. What is done is kept: mend it, and the same command goes on from here.", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
