"""A picture of what came back: a row's targets by the original, erased, and under each attack."""

from __future__ import annotations

from pathlib import Path

from matplotlib.font_manager import findfont
from PIL import Image, ImageDraw, ImageFont

from ..runs.attacks import UNATTACKED, UNDEFENDED, AttackCell, AttackRecord
from ..runs.folder import RunFolder, safe_name
from ..runs.rows import ORIGINAL
from ..storage.files import write_atomically
from .overview import CAPTION_LEADING, CAPTION_LINES, GAP, PER_SET, wrapped

TILE, LABEL_WIDTH, FRAME = 80, 180, 3  # pixels


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
    large, small = (ImageFont.truetype(findfont("DejaVu Sans"), size) for size in (13, 9))
    targets = cells[0].targets[:PER_SET]
    head = CAPTION_LINES * CAPTION_LEADING + GAP
    page = Image.new("RGB", (LABEL_WIDTH + len(targets) * (TILE + GAP), head + len(cells) * (TILE + GAP)), "white")
    draw = ImageDraw.Draw(page)
    for k, target in enumerate(targets):
        left = LABEL_WIDTH + k * (TILE + GAP)
        for number, line in enumerate(wrapped(target.text, small, TILE, CAPTION_LINES)):
            draw.text((left, number * CAPTION_LEADING), line, fill="dimgray", font=small)
    for down, cell in enumerate(cells):
        top = head + down * (TILE + GAP)
        label = record.labels[cell.row] if cell.attack == UNATTACKED else record.attacks[cell.attack]
        text = "\n".join(wrapped(label, large, LABEL_WIDTH - 2 * GAP, 3))
        draw.text((GAP, top + TILE // 2), text, fill="black", font=large, anchor="lm")
        found = {target.prompt: target.found is not None for target in cell.targets}
        for k, target in enumerate(targets):
            left, file = LABEL_WIDTH + k * (TILE + GAP), image_of(folder, cell, target.prompt)
            if not file.exists():  # it was there before and not attacked, or the attack had nothing to ask
                continue
            with Image.open(file) as image:
                page.paste(image.convert("RGB").resize((TILE, TILE), Image.Resampling.LANCZOS), (left, top))
            if found.get(target.prompt):
                draw.rectangle((left, top, left + TILE - 1, top + TILE - 1), outline="crimson", width=FRAME)
    return page
