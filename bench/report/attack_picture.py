"""A picture of what came back: a row's targets by the original, erased, and under each attack."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from ..runs.attacks import UNATTACKED, UNDEFENDED, AttackCell, AttackRecord
from ..runs.folder import RunFolder, safe_name
from ..runs.rows import ORIGINAL
from ..storage.files import write_atomically
from .overview import PER_SET
from .tiles import Line, tiles


def image_of(folder: RunFolder, cell: AttackCell, prompt: str) -> Path:
    """Where a run's folder shows what came of a target: the successful try, or the last one."""
    place = folder.root / "attacks" / safe_name(cell.row) / cell.attack
    return (place if cell.training is None else place / f"seed-{cell.training}") / f"{prompt}.png"


def write_attack_pictures(folder: RunFolder, record: AttackRecord) -> None:
    """Write attacks/ROW.png for each attacked row, of its first training: a line an attack, framed where found."""
    for row in record.request["rows"]:
        own = [cell for cell in record.cells if cell.row == row]
        first = [cell for cell in own if cell.training == own[0].training]
        original = [cell for cell in record.cells if (cell.row, cell.attack) == (ORIGINAL, UNATTACKED)]
        if row not in UNDEFENDED and original and first:
            _save(folder.root / "attacks" / f"{row}.png", _page(folder, record, [*original, *first]))


def _save(file: Path, page: Image.Image) -> None:
    write_atomically(file, lambda path: page.save(path, "PNG"))


def _page(folder: RunFolder, record: AttackRecord, cells: list[AttackCell]) -> Image.Image:
    """A target that was there before and not attacked, or of which the attack had nothing to ask, has no image."""
    targets = cells[0].targets[:PER_SET]
    lines: list[Line] = []
    for cell in cells:
        found = {target.prompt: target.found is not None for target in cell.targets}
        label = record.labels[cell.row] if cell.attack == UNATTACKED else record.attacks[cell.attack]
        shown = [(image_of(folder, cell, target.prompt), found.get(target.prompt, False)) for target in targets]
        lines.append((label, shown))
    return tiles([target.text for target in targets], lines)
