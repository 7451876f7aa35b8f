"""Commands that guard results: show, diff, baseline, drift."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..errors import BenchError
from .shared import RunArgument, run_named, terminal


def show(folder: RunArgument) -> None:
    """Print what a run was made from, how it ended, and what failed.

    Example: bench show results/runs/main-1a2b3c4d
    """
    from ..report.drift.set_up import show as lines
    from ..runs.folder import RunFolder

    for line in lines(RunFolder(folder)):
        typer.echo(line)


def diff(
    first: Annotated[Path, typer.Argument(metavar="RUN_A", parser=run_named, help="A run's folder or name.")],
    second: Annotated[Path, typer.Argument(metavar="RUN_B", parser=run_named, help="Another one's.")],
) -> None:
    """Say what differs between two runs in set-up and in results.

    Example: bench diff results/runs/main-1a2b3c4d results/runs/main-5e6f7a8b
    """
    from ..report.drift.baseline import baseline_of
    from ..report.drift.forms import view
    from ..report.drift.set_up import set_up_changes
    from ..report.drift.verdicts import LEVEL, compare_with
    from ..report.terminal import terminal_table
    from ..runs.folder import RunFolder

    folders = RunFolder(first), RunFolder(second)
    for line in set_up_changes(*folders) or ["the set-ups are the same"]:
        typer.echo(line)
    before, after = map(baseline_of, folders)
    verdicts = compare_with(before, after)
    sheet = view(verdicts, str(first), str(second), LEVEL)
    terminal().print(terminal_table(sheet.caption, sheet))
    typer.echo(sheet.notes[0])


def baseline(
    folder: RunArgument,
    to: Annotated[Path, typer.Option(help="The file to write, such as results/baselines/NAME.json.")],
) -> None:
    """Write a finished run's scores as a baseline for `bench drift`.

    Example: bench baseline results/runs/ci-1a2b3c4d --to results/baselines/ci.json
    """
    from ..report.drift.baseline import baseline_of, write_baseline
    from ..runs.folder import RunFolder

    made = baseline_of(RunFolder(folder))
    if failed := [
        f"{row} {metric}" for row, scores in made.scores.items() for metric in scores if scores[metric].failed
    ]:
        raise BenchError(f"{folder}: {', '.join(failed)} failed. `bench run` tries them again; then make the baseline.")
    write_baseline(to, made)
    typer.echo(to)


def drift(
    folder: RunArgument,
    baseline: Annotated[Path, typer.Option(help="A file that `bench baseline` wrote.")],
    level: Annotated[float, typer.Option(help="The chance of any false alarm among the tested cells.")] = 0.01,
    markdown: Annotated[Path | None, typer.Option(help="Also write a table for a pull request.")] = None,
    allow_not_comparable: Annotated[
        bool, typer.Option("--allow-not-comparable", help="Report what can't be compared, but with exit status 0.")
    ] = False,
    json: Annotated[Path | None, typer.Option(help="Also write the verdicts as JSON.")] = None,
    junit: Annotated[Path | None, typer.Option(help="Also write them as JUnit XML.")] = None,
) -> None:
    """Check a run against a baseline. Exit status 0: the same; 1: something drifted; 2: something can't be compared.

    Numbers that agree are the same, whatever the machine; others are tested in pairs, prompt by prompt.

    Example: bench drift results/runs/ci-1a2b3c4d --baseline results/baselines/ci.json --junit drift.xml
    """
    from ..report.drift.baseline import baseline_of, read_baseline
    from ..report.drift.forms import as_json, as_junit, as_markdown, view
    from ..report.drift.verdicts import compare_with, exit_status
    from ..report.terminal import terminal_table
    from ..runs.folder import RunFolder
    from ..storage.files import write_json, write_text

    if not 0 < level < 1:
        raise BenchError(f"--level {level}: a probability between 0 and 1, such as 0.01.")
    verdicts = compare_with(read_baseline(baseline), baseline_of(RunFolder(folder)), level)
    sheet = view(verdicts, str(baseline), str(folder), level)
    terminal().print(terminal_table(sheet.caption, sheet))
    typer.echo(sheet.notes[0])
    if markdown is not None:
        write_text(markdown, as_markdown(sheet))
    if json is not None:
        write_json(json, as_json(verdicts, level))
    if junit is not None:
        write_text(junit, as_junit(verdicts, allow_not_comparable))
    raise typer.Exit(exit_status(verdicts, allow_not_comparable))
