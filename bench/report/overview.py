"""One picture of a run: the same prompts and seeds, a row for each model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.font_manager import findfont
from PIL import Image, ImageDraw, ImageFont

from ..images.image_set import ImageSet
from ..images.notes import is_drawn
from ..runs.folder import RunFolder
from ..runs.rows import REFERENCE
from ..storage.files import write_atomically

PER_SET, TILE, GAP, HEAD = 5, 112, 4, 26
LABEL_WIDTH, LABEL_LINES = 150, 6  # pixels; longer labels are wrapped, then cut
CAPTION_LINES, CAPTION_LEADING = 3, 13  # a prompt above its column
GUTTER = 8  # pixels that are free right of a prompt, so that it does not run into the next one
HEADS = {"concept": "prompts for the concept", "objects": "other concepts"}


def write_overview(folder: RunFolder, images: Mapping[tuple[str, str], ImageSet], labels: Mapping[str, str]) -> None:
    """Write overview.png: images of the first training, one a prompt, over the prompts of "concept" and "objects"."""
    names = [name for name in HEADS if any(name == other for _, other in images)]
    rows = [row for row in labels if row != REFERENCE and all((row, name) in images for name in names)]
    rows = [row for row in rows if all(is_drawn(file) for name in names for _, file in chosen(images[row, name]))]
    if not names or not rows:
        return
    large, small = (ImageFont.truetype(findfont("DejaVu Sans"), size) for size in (14, 10))  # it has Greek letters
    texts = {row: wrapped(labels[row], large, LABEL_WIDTH, LABEL_LINES) for row in rows}
    label_width = 16 + max(int(large.getlength(line)) for lines in texts.values() for line in lines)
    head = HEAD + CAPTION_LINES * CAPTION_LEADING + GAP
    width = label_width + len(names) * (PER_SET * (TILE + GAP) + 3 * GAP)
    page = Image.new("RGB", (width, head + len(rows) * (TILE + GAP)), "white")
    draw = ImageDraw.Draw(page)
    for column, name in enumerate(names):
        left = label_width + column * (PER_SET * (TILE + GAP) + 3 * GAP)
        draw.text((left, 5), HEADS[name], fill="black", font=large)
        for k, (prompt, _) in enumerate(chosen(images[rows[0], name])):
            for number, line in enumerate(wrapped(prompt, small, TILE - GUTTER, CAPTION_LINES)):
                place = left + k * (TILE + GAP), HEAD + number * CAPTION_LEADING
                draw.text(place, line, fill="dimgray", font=small)
        for down, row in enumerate(rows):
            top = head + down * (TILE + GAP)
            draw.text((4, top + TILE // 2), "\n".join(texts[row]), fill="black", font=large, anchor="lm")
            for k, (_, file) in enumerate(chosen(images[row, name])):
                place = left + k * (TILE + GAP), top
                if not file.exists():  # it has no pixels
                    middle = place[0] + TILE // 2, top + TILE // 2
                    draw.text(middle, "unscored", fill="black", font=large, anchor="mm")
                    continue
                with Image.open(file) as image:
                    tile = image.convert("RGB").resize((TILE, TILE), Image.Resampling.LANCZOS)
                page.paste(tile, place)
    write_atomically(folder.root / "overview.png", lambda path: page.save(path, format="PNG"))


def chosen(images: ImageSet) -> list[tuple[str, Path]]:
    """Up to PER_SET prompts with an image each, evenly over the set; no prompt twice."""
    first = images.each[0]
    by_prompt: dict[str, Path] = {}
    for job, file in zip(first.jobs, first.files, strict=True):
        by_prompt.setdefault(job.text, file)
    found = list(by_prompt.items())
    count = min(PER_SET, len(found))
    return [found[k * len(found) // count] for k in range(count)]


def wrapped(text: str, font: ImageFont.FreeTypeFont, width: int, most: int) -> Sequence[str]:
    """The text in lines of at most `width` pixels; a longer word is broken, and what `most` lines can't hold is "…"."""
    lines = [""]
    for word in text.split():
        joined = f"{lines[-1]} {word}".strip()
        if font.getlength(joined) <= width:
            lines[-1] = joined
            continue
        lines += [""] * bool(lines[-1])
        for character in word:
            if lines[-1] and font.getlength(lines[-1] + character) > width:
                lines.append("")
            lines[-1] += character
    if len(lines) <= most:
        return lines
    last = lines[most - 1]
    while last and font.getlength(f"{last}…") > width:
        last = last[:-1]
    return [*lines[: most - 1], f"{last}…"]
