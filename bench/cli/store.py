"""`bench store`: what is kept for all runs, and removing what none of them uses."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import BenchError

if TYPE_CHECKING:
    from ..runs.store_use import StoreUse
    from ..storage.inventory import Item

PRUNE = "prune"
MOST = 12  # names that are listed


def store(
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="[prune] [FOLDER]", help="The store's folder; results/store by default."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="With prune: remove, where it would only say what.")] = False,
) -> None:
    """Show what is kept for all runs; `prune` removes what none uses.

    Example: bench store prune --yes
    """
    given = words or []
    pruning = given[:1] == [PRUNE]
    rest = given[pruning:]
    if len(rest) > 1:
        raise BenchError(f"bench store {' '.join(given)}: give `prune` or not, then one folder, such as results/store.")
    if yes and not pruning:
        raise BenchError("--yes goes with `bench store prune`; `bench store` alone removes nothing.")
    from ..runs.store_use import look
    from ..storage.store import Store

    kept = Store(_folder(rest[0] if rest else None))
    if pruning and yes:
        _prune(kept)
        return
    use = look(kept)
    if pruning:
        _say_unused(use)
        return
    _show(kept.root, use)


def _folder(name: str | None) -> Path:
    """A store's folder.

    Raises:
        BenchError: there is none.
    """
    from ..runs.folder import DEFAULT_PARENT, RunFolder
    from ..runs.store_use import is_store

    folder = DEFAULT_PARENT.parent / "store" if name is None else Path(name)
    if is_store(folder):
        return folder
    if RunFolder(folder).plan.is_file():
        raise BenchError(f"{folder} is a run. The store that it uses: `bench store {RunFolder(folder).store}`.")
    there = "that is no store" if folder.exists() else "there is no store"
    raise BenchError(f"{folder}: {there}. `bench run` makes one, in results/store unless --store says otherwise.")


def _show(root: Path, use: StoreUse) -> None:
    from ..runs.folder import RunFolder
    from ..runs.references import status_of
    from ..runs.store_use import total

    unused = {item.path for item in use.unused}
    lines: list[tuple[str, ...]] = [("KIND", "ENTRIES", "FILES", "SIZE", "UNUSED")]
    everything = (*use.items, *use.unfinished)
    for kind in dict.fromkeys(item.kind for item in everything):
        own = [item for item in everything if item.kind == kind]
        spare = [item for item in own if item.path in unused]
        lines.append((kind, f"{len(own):,}", _files(own), size(total(own)), size(total(spare)) if spare else ""))
    lines.append(("", f"{len(everything):,}", _files(everything), size(total(everything)), size(total(use.unused))))
    typer.echo(f"{root}")
    _print(lines)
    lines = [("RUN", "ENTRIES", "SIZE", "ITS OWN", "STATUS")]
    users: dict[Path, int] = {}
    used = {run.folder: use.used_by(run) for run in use.references.runs}
    for item in (item for items in used.values() for item in items):
        users[item.path] = users.get(item.path, 0) + 1
    for folder, items in used.items():
        alone = [item for item in items if users[item.path] == 1]
        lines.append(
            (str(folder), f"{len(items):,}", size(total(items)), size(total(alone)), status_of(RunFolder(folder)))
        )
    typer.echo("")
    _print(lines)
    _say_rest(use)
    if use.unused:
        typer.echo(f"\nno run uses {_told(use.unused)}: `bench store prune` says what it would remove")


def _say_rest(use: StoreUse) -> None:
    """What a person should know before pruning."""
    for gone in use.references.gone:
        typer.echo(f"no longer there, or with another store: {gone}")
    if use.shown_elsewhere:
        typer.echo(
            f"kept, as a run's folder shows it that is not known here (moved?): {_told(use.shown_elsewhere)}; "
            "`bench run PLAN --out FOLDER` makes it known again"
        )
    for file in use.damaged[:MOST]:
        typer.echo(f"damaged: {file}")
    if use.damaged:
        typer.echo(f"{len(use.damaged):,} damaged files: a run that needs them makes them again")


def _say_unused(use: StoreUse) -> None:
    for gone in use.references.gone:
        typer.echo(f"not counted, as it is no longer there or has another store: {gone}")
    if not use.unused:
        typer.echo("every entry is used by a run: nothing to remove")
        return
    _say_kinds(use.unused)
    typer.echo(f"would remove {_told(use.unused)}, which no run uses; `bench store prune --yes` does")


def _prune(kept: object) -> None:
    from ..runs.store_use import prune

    removed = prune(kept)  # type: ignore[arg-type]
    if not removed:
        typer.echo("every entry is used by a run: nothing to remove")
        return
    _say_kinds(removed)
    typer.echo(f"removed {_told(removed)}")


def _say_kinds(items: list[Item]) -> None:
    from ..runs.store_use import total

    lines: list[tuple[str, ...]] = [("KIND", "ENTRIES", "FILES", "SIZE")]
    for kind in dict.fromkeys(item.kind for item in items):
        own = [item for item in items if item.kind == kind]
        lines.append((kind, f"{len(own):,}", _files(own), size(total(own))))
    _print(lines)


def _told(items: list[Item]) -> str:
    from ..runs.store_use import total

    return f"{len(items):,} {'entry' if len(items) == 1 else 'entries'}, {size(total(items))}"


def _files(items: Iterable[Item]) -> str:
    return f"{sum(item.files for item in items):,}"


def size(count: int) -> str:
    """Bytes for people.

    >>> size(0), size(1536), size(5 * 2**30)
    ('0', '1.5 KiB', '5.0 GiB')
    """
    value, unit = float(count), "bytes"
    for unit in ("bytes", "KiB", "MiB", "GiB", "TiB"):
        if value < 1024 or unit == "TiB":
            break
        value /= 1024
    return "0" if count == 0 else f"{value:.0f} {unit}" if unit == "bytes" else f"{value:.1f} {unit}"


def _print(lines: list[tuple[str, ...]]) -> None:
    """Columns; all but the first and the last of runs' to the right."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = [
            f"{cell:<{width}}" if k == 0 else f"{cell:>{width}}"
            for k, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        typer.echo("  ".join(cells).rstrip())
