"""Tables and pictures of purified images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ..runs.folder import RunFolder, safe_name
from ..runs.plan import Plan
from ..runs.purification import PurifyCell, PurifyRecord, mean, read_purified
from ..runs.rows import ORIGINAL
from ..scoring.statistics import Estimate, estimate
from ..storage.files import write_atomically, write_csv, write_text
from .formats import html, latex, markdown
from .leaderboard import banner
from .overview import PER_SET
from .sheet import NONE, Cell, Column, Sheet
from .terminal import SheetView, terminal_table
from .tiles import Line, tiles

ASKED = {"nothing": "no prompt", "concept": "the concept asked for"}


def image_of(folder: RunFolder, cell: PurifyCell, name: str) -> Path:
    """Where a run's folder shows a purified image."""
    own = "" if cell.training is None else f"-seed-{cell.training}"
    way = f"{'by-itself' if cell.inverter != ORIGINAL else 'by-original'}-{cell.source}-{cell.asked}-{cell.strength:g}"
    plain = "-".join(Path(name).with_suffix("").parts)
    return folder.root / "purified" / safe_name(cell.row) / f"{way}{own}" / f"{plain}.png"


def write_purification(folder: RunFolder, plan: Plan, record: PurifyRecord) -> None:
    """Write purify.csv, .md, .tex, .html and purified/ROW.png of a run."""
    table = sheet(plan, record)
    write_csv(folder.root / "purify.csv", lines(record))
    for suffix, form in (("md", markdown), ("tex", latex), ("html", html)):
        write_text(folder.root / f"purify.{suffix}", form(table))
    for row in record.labels:
        if row != ORIGINAL:
            _write_picture(folder, record, row)


def purify_views(folder: RunFolder, plan: Plan) -> list[SheetView]:
    """The table for a terminal; none where nothing was purified."""
    record = read_purified(folder)
    if record is None:
        return []
    table = sheet(plan, record)
    return [terminal_table(table.caption, table)]


def lines(record: PurifyRecord) -> pd.DataFrame:
    """One line a row, training, inverter, source, condition and strength."""
    return pd.DataFrame([_line(cell) for cell in record.cells])


def _line(cell: PurifyCell) -> dict[str, Any]:
    rate = _rate([cell])
    return {
        "row": cell.row,
        "training": cell.training,
        "inverter": cell.inverter,
        "source": cell.source,
        "asked": cell.asked,
        "strength": cell.strength,
        "images": len(cell.images),
        "rate": None if rate is None else rate.value,
        "rate_low": None if rate is None else rate.low,
        "rate_high": None if rate is None else rate.high,
        "ssim": mean([image.ssim for image in cell.images]),
        "psnr": mean([image.psnr for image in cell.images]),
    }


def _rate(cells: Sequence[PurifyCell]) -> Estimate | None:
    """How often the concept is seen, over images and trainings."""
    values = [image.seen for cell in cells for image in cell.images]
    names = [image.name for cell in cells for image in cell.images]
    return estimate(values, names, [cell.training for cell in cells for _ in cell.images], rate=True)


def sheet(plan: Plan, record: PurifyRecord) -> Sheet:
    """A line for who inverts and denoises, and what is asked; rate and SSIM at each strength."""
    columns = [
        Column(label, f"strength {strength:g}") for strength in record.strengths for label in ("Rate ↓", "SSIM ↑")
    ]
    ways: dict[tuple[str, str, str, str], list[PurifyCell]] = {}
    for cell in record.cells:
        ways.setdefault((cell.row, cell.inverter, cell.source, cell.asked), []).append(cell)
    sections: dict[str, list[tuple[str, Sequence[Cell]]]] = {}
    for (row, inverter, source, asked), cells in ways.items():
        who = f"{record.labels[inverter]} → {record.labels[row]}"
        what = "images without the concept" if source == "others" else ASKED[asked]
        found: list[Cell] = []
        for strength in record.strengths:
            found += _cells([cell for cell in cells if cell.strength == strength], source)
        sections.setdefault(row, []).append((f"{who}, {what}", found))
    return Sheet(
        f"Purifying {len(record.before)} images of “{plan.subject}”, {plan.model}",
        columns,
        list(sections.values()),
        _notes(record),
        banner(plan),
    )


def _cells(cells: Sequence[PurifyCell], source: str) -> list[Cell]:
    images = [image for cell in cells for image in cell.images]
    rate, alike = _rate(cells), mean([image.ssim for image in images])
    noise = mean([image.psnr for image in images])
    first = Cell() if rate is None or source == "others" else _rated(rate)
    second = Cell() if alike is None else Cell(f"{alike:.3f}", hint="" if noise is None else f"PSNR {noise:.1f} dB")
    return [first, second]


def _rated(rate: Estimate) -> Cell:
    ends = "" if rate.low is None or rate.high is None else f"{rate.low:.2f} to {rate.high:.2f}"
    return Cell(f"{rate.value:.2f}", hint=rate.covers, interval=ends)


def _notes(record: PurifyRecord) -> list[str]:
    before = mean([image.seen for image in record.before])
    notes = [
        f"Of the images as they are, {NONE if before is None else f'{before:.2f}'} show the concept; "
        + (f"nobody can judge: {record.unjudged}." if record.unjudged else f"judged by {record.judge}."),
        f"“A → B”: A inverts by DDIM without a prompt in {record.steps} steps, B denoises, both without guidance; "
        "strength 1 goes to pure noise.",
        "SSIM is of the result to the input: original → original is what inversion itself loses. An image that comes "
        "back as it was is not purified, and one that is another picture shows nothing either.",
    ]
    if record.unreadable:
        notes.append(f"{len(record.unreadable)} files can't be read, such as {record.unreadable[0]}.")
    return notes


def _write_picture(folder: RunFolder, record: PurifyRecord, row: str) -> None:
    """The first images by the original, the row, and the row that also inverted; framed where the concept is seen."""
    own = [cell for cell in record.cells if cell.row == row]
    cells = [
        cell
        for cell in record.cells
        if cell.source == "concept" and (cell.row == ORIGINAL or (cell.row == row and cell.training == own[0].training))
    ]
    names = [image.name for image in record.before[: 2 * PER_SET]]
    root = Path(record.images)
    seen = {image.name: bool(image.seen) for image in record.before}
    page: list[Line] = [("as they are", [(root / name, seen[name]) for name in names])]
    for cell in cells:
        found = {image.name: bool(image.seen) for image in cell.images}
        label = f"{record.labels[cell.inverter]} → {record.labels[cell.row]}, {ASKED[cell.asked]}, {cell.strength:g}"
        page.append((label, [(image_of(folder, cell, name), found[name]) for name in names]))
    drawn = tiles([Path(name).stem for name in names], page)
    write_atomically(folder.root / "purified" / f"{safe_name(row)}.png", lambda path: drawn.save(path, "PNG"))
