"""What commands share: options, exit status, reading of flags."""

from __future__ import annotations

import contextlib
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import BenchError
from ..runs.interrupt import stoppable

if TYPE_CHECKING:
    from ..runs.folder import RunFolder
    from ..runs.record import Failure


def run_named(name: str) -> Path:
    """A run's folder by its path or its short name."""
    from ..runs.listing import find_run

    return find_run(name)


def _checked_device(wanted: str) -> str:
    from ..models.hardware import check_device

    return check_device(wanted)


RunArgument = Annotated[
    Path,
    typer.Argument(metavar="RUN", parser=run_named, help="A run's folder, or its name or hash in `bench list runs`."),
]
DeviceOption = Annotated[
    str, typer.Option("--device", callback=_checked_device, help="auto, cpu, cuda, or cuda:N for one of several GPUs.")
]


def exit_with(failures: Sequence[Failure]) -> None:
    """Name the cells that failed; exit status 1 where there are any."""
    for failure in failures:
        typer.echo(f"failed: {failure.cell}: {failure.reason}", err=True)
    if failures:
        where = "The tracebacks are in run.json; t" if any(failure.traceback for failure in failures) else "T"
        typer.echo(f"{where}he same command tries these again.", err=True)
        raise typer.Exit(1)


def names_of(names: str | None) -> list[str] | None:
    """Names with commas.

    Raises:
        BenchError: there are commas or blanks alone.
    """
    if names is None:
        return None
    found = [name.strip() for name in names.split(",") if name.strip()]
    if not found:
        raise BenchError(f"{names!r} names nothing where names with commas stand. Name one, or leave the option out.")
    return found


def integers_of(option: str, text: str | None) -> list[int] | None:
    if text is None:
        return None
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise BenchError(f"{option} {text}: give whole numbers with commas, such as 0,1,2.") from None


def numbers_of(option: str, text: str) -> list[float]:
    """Numbers with commas."""
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise BenchError(f"{option} {text}: give numbers with commas, such as 0.3,0.5,0.7.") from None


def pairs_of(option: str, given: list[str], form: str, example: str) -> dict[str, str]:
    """Flags of the form NAME=VALUE as a mapping."""
    found: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name.strip() or not value.strip():
            raise BenchError(f"{option} {text}: write {form}, such as {example}.")
        if found.setdefault(name.strip(), value.strip()) != value.strip():
            raise BenchError(f"{option}: {name.strip()} is both {found[name.strip()]} and {value.strip()}. Give one.")
    return found


def settings_of(given: list[str]) -> dict[str, dict[str, Any]]:
    """`METHOD.KEY=VALUE` flags as a plan's settings; values are YAML, and 1e-4 is a number."""
    import yaml

    found: dict[str, dict[str, Any]] = {}
    for name, value in pairs_of("--set", given, "METHOD.KEY=VALUE", "esd.lr=1e-4").items():
        row, dot, key = name.partition(".")
        if not dot or not key:
            raise BenchError(f"--set {name}={value}: write METHOD.KEY=VALUE, such as esd.lr=1e-4.")
        parsed = yaml.safe_load(value)
        with contextlib.suppress(ValueError):
            parsed = float(parsed) if isinstance(parsed, str) and any(c.isdigit() for c in parsed) else parsed
        found.setdefault(row, {})[key] = parsed if parsed is not None else ""
    return found


def terminal() -> Any:
    """A console; where the output is no terminal, lines are as long as they need."""
    from ..report.terminal import terminal as console

    return console()


def print_table(folder: Path, plain: bool = False) -> None:
    from ..report.attacks import attack_views
    from ..report.leaderboard import terminal_tables
    from ..runs.folder import RunFolder
    from ..runs.record import read_run

    run_folder = RunFolder(folder)
    plan, record = read_run(run_folder)
    print_views(run_folder, [*terminal_tables(run_folder, plan, record, plain), *attack_views(run_folder, plan)])


def print_views(folder: RunFolder, views: Sequence[Any]) -> None:
    """Print a run's tables, and where its files of them are."""
    console = terminal()
    for view in views:
        console.print(view)
    typer.echo(f"{folder.table('md')} (also .csv, .tex, .html)")
    if folder.page.exists():
        typer.echo(f"{folder.page}: open it in a browser")


def with_resume_hint(work: Any) -> Any:
    """Turn Ctrl-C and SIGTERM into what is done, the command to go on with, and exit status 130."""
    try:
        with stoppable():
            return work()
    except KeyboardInterrupt as stopped:
        command = shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])
        done = f" at {stopped}" if str(stopped) else ""
        typer.echo(f"\nstopped{done}; what is done is kept.\nGo on with:\n{command}", err=True)
        raise typer.Exit(130) from None
