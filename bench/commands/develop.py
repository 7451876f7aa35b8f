"""Commands for people who add methods or work on the bench: tune, new, check, stress."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from ..errors import unknown
from .shared import DeviceOption, exit_with, names_of, with_resume_hint


def tune(
    methods: Annotated[str, typer.Option(help="all, every, or names with commas.")] = "every",
    concept: Annotated[str, typer.Option(help="What to tune on; never what is reported.")] = "garbage truck",
    out: Annotated[Path, typer.Option(help="The table to write.")] = Path("results") / "tuning.csv",
    runs: Annotated[Path, typer.Option(help="The run's folder; the same again resumes.")] = Path("results")
    / "runs"
    / "tuning",
    device: DeviceOption = "auto",
) -> None:
    """Find each method's settings on the embedded model: the same grid and criterion for every one.

    Example: bench tune --methods esd,sdd --out tuning.csv
    """
    from ..devices import choose_device
    from ..layout import RunFolder
    from ..plan import resolve_methods
    from ..runner import run as run_plan
    from ..store import write_csv
    from ..tuning import grid_results, tuning_plan

    plan, folder = tuning_plan(resolve_methods(names_of(methods) or []), concept), RunFolder(runs)
    failures = with_resume_hint(lambda: run_plan(plan, folder, choose_device(device)))
    results = grid_results(plan, folder)
    write_csv(out, results)
    typer.echo(results[results["chosen"]].to_string(index=False))
    typer.echo(f"{out}: all {len(results)} points")
    exit_with(failures)


def stress(
    kills: Annotated[int, typer.Option(help="Kill at least so many times.", min=1)] = 200,
    seed: Annotated[int, typer.Option(help="Of the moments.")] = 0,
) -> None:
    """Kill small runs at random moments, alter some of their files, and check that nothing is lost.

    Example: bench stress --kills 30
    """
    os.environ["OMP_NUM_THREADS"] = "1"
    from ..stress import stress as lines

    with tempfile.TemporaryDirectory() as folder:
        for line in lines(kills, seed, Path(folder)):
            typer.echo(line)


def new(
    what: Annotated[str, typer.Argument(help="method.")],
    name: Annotated[str, typer.Argument(help="Small letters, digits and dashes.")],
    to: Annotated[Path | None, typer.Option(help="A folder for a package of its own.")] = None,
) -> None:
    """Write a working method and its test: into a checkout of erasebench, or as a package of its own.

    Example: bench new method my-method
    """
    from ..scaffold import new_method

    if what != "method":
        raise unknown("kind of file", what, ["method"], "bench new --help")
    files = new_method(name, to)
    for file in files:
        typer.echo(file)
    package = next((file.parent for file in files if file.name == "pyproject.toml"), None)
    typer.echo(f"next: {f'pip install -e {package} && ' if package else ''}bench check {name}")


def check(
    name: Annotated[str, typer.Argument(help="A registered method.")],
) -> None:
    """Run the contract that every method must satisfy, on the embedded model.

    Example: bench check esd
    """
    from ..registry import METHODS

    method = METHODS.load(name)
    from ..contract import Subject, run_checks
    from ..sources import find_model

    broken = False
    for text, error in run_checks(Subject(method, find_model("mini").load("cpu"))):
        typer.echo(f"{'ok    ' if error is None else 'BROKEN'}  {text}")
        if error is not None:
            typer.echo(f"        {error}")
        broken = broken or error is not None
    if broken:
        raise typer.Exit(1)
