"""One picture of a run: the same prompts and seeds, a row for each model."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path

from matplotlib.font_manager import findfont
from PIL import Image, ImageDraw, ImageFont

from .image_sets import ImageSet
from .layout import REFERENCE, RunFolder
from .store import write_atomically

PER_SET, TILE, GAP, HEAD = 5, 112, 4, 26
LABEL_CHARACTERS = 18  # longer labels are wrapped
HEADS = {"concept": "prompts for the concept", "objects": "other concepts"}


def write_overview(folder: RunFolder, images: Mapping[tuple[str, str], ImageSet], labels: Mapping[str, str]) -> None:
    """Write overview.png: images of the first training, spread over the prompts of the sets "concept" and "objects"."""
    names = [name for name in HEADS if any(name == other for _, other in images)]
    rows = [row for row in labels if row != REFERENCE and all((row, name) in images for name in names)]
    rows = [row for row in rows if all(file.exists() for name in names for file in _chosen(images[row, name]))]
    if not names or not rows:
        return
    font = ImageFont.truetype(findfont("DejaVu Sans"), 14)  # matplotlib carries it; it has Greek letters
    texts = {row: "\n".join(textwrap.wrap(labels[row], LABEL_CHARACTERS)) for row in rows}
    label_width = 16 + max(int(font.getlength(line)) for text in texts.values() for line in text.split("\n"))
    width = label_width + len(names) * (PER_SET * (TILE + GAP) + 3 * GAP)
    page = Image.new("RGB", (width, HEAD + len(rows) * (TILE + GAP)), "white")
    draw = ImageDraw.Draw(page)
    for column, name in enumerate(names):
        left = label_width + column * (PER_SET * (TILE + GAP) + 3 * GAP)
        draw.text((left, 5), HEADS[name], fill="black", font=font)
        for line, row in enumerate(rows):
            top = HEAD + line * (TILE + GAP)
            draw.text((4, top + TILE // 2), texts[row], fill="black", font=font, anchor="lm")
            for k, file in enumerate(_chosen(images[row, name])):
                with Image.open(file) as image:
                    tile = image.convert("RGB").resize((TILE, TILE), Image.Resampling.LANCZOS)
                page.paste(tile, (left + k * (TILE + GAP), top))
    write_atomically(folder.root / "overview.png", lambda path: page.save(path, format="PNG"))


def _chosen(images: ImageSet) -> list[Path]:
    first = images.each[0]
    step = max(1, len(first.jobs) // PER_SET)
    return first.files[::step][:PER_SET]
