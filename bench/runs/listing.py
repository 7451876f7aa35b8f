"""The runs that lie in results/runs: found by a short name, and listed. Reading them needs no torch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ..errors import BenchError, unknown
from .folder import DEFAULT_PARENT, RunFolder
from .record import read_run
from .references import status_of


def run_folders(parent: Path = DEFAULT_PARENT) -> list[Path]:
    """The folders of runs, the one that was worked on last first."""
    found = [entry for entry in parent.iterdir() if RunFolder(entry).plan.is_file()] if parent.is_dir() else []
    return sorted(found, key=lambda entry: max(file.stat().st_mtime for file in _dated(entry)), reverse=True)


def _dated(folder: Path) -> Iterator[Path]:
    run = RunFolder(folder)
    yield run.plan
    if run.status.is_file():
        yield run.status


def find_run(name: str) -> Path:
    """A run's folder by its path, or in results/runs by its name, by a beginning of it, or of the hash at its end.

    Raises:
        BenchError: no run is called so, or several are.
    """
    folder = Path(name)
    if RunFolder(folder).plan.is_file() or len(folder.parts) != 1:
        return folder
    known = {entry.name: entry for entry in run_folders()}
    if name in known:
        return known[name]
    meant = [entry for own, entry in known.items() if own.startswith(name) or own.rpartition("-")[2].startswith(name)]
    if len(meant) == 1:
        return meant[0]
    if meant:
        raise BenchError(
            f"{name} is several runs: {', '.join(entry.name for entry in meant[:6])}. Give more of the name; "
            "`bench list runs` shows them all."
        )
    if folder.exists():
        return folder
    if not known:
        raise BenchError(f"there is no run {name!r}, neither here nor in {DEFAULT_PARENT}: `bench run` makes one.")
    raise unknown("run", name, {*known, *(own.rpartition("-")[0] or own for own in known)}, "bench list runs")


def list_runs() -> list[tuple[str, ...]]:
    """A line a run: name, concept, methods, images a prompt set, status, date; headings first."""
    lines: list[tuple[str, ...]] = [("RUN", "CONCEPT", "METHODS", "IMAGES", "STATUS", "DATE")]
    for folder in run_folders():
        try:
            plan, record = read_run(RunFolder(folder))
        except BenchError:
            lines.append((folder.name, "", "", "", "can't be read", ""))
            continue
        rows = list(plan.rows)
        methods = ", ".join(rows[:3]) + (f" and {len(rows) - 3} more" if len(rows) > 3 else "")
        last = record.sessions[-1] if record.sessions else None
        date = (last.ended or last.started)[:16].replace("T", " ") if last else ""
        lines.append((folder.name, plan.subject, methods, str(plan.images), status_of(RunFolder(folder)), date))
    return lines
