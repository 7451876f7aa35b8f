"""A page of small images: a labelled line after the other, under captions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.font_manager import findfont
from PIL import Image, ImageDraw, ImageFont

from .overview import CAPTION_LEADING, CAPTION_LINES, GAP, GUTTER, wrapped

TILE, LABEL_WIDTH, FRAME = 80, 180, 3  # pixels
NOTE_LINES, NOTE_LEADING = 2, 11
Line = tuple[str, Sequence[tuple[Path, bool]]]  # a label, and files with whether each is framed


def tiles(captions: Sequence[str], lines: Sequence[Line], notes: Sequence[Sequence[str]] = ()) -> Image.Image:
    """The page; a file that is not there leaves its place empty. `notes` are texts below each line's files."""
    large, small = (ImageFont.truetype(findfont("DejaVu Sans"), size) for size in (13, 9))
    head, high = CAPTION_LINES * CAPTION_LEADING + GAP, TILE + GAP + (NOTE_LINES * NOTE_LEADING if notes else 0)
    page = Image.new("RGB", (LABEL_WIDTH + len(captions) * (TILE + GAP), head + len(lines) * high), "white")
    draw = ImageDraw.Draw(page)
    for k, caption in enumerate(captions):
        for number, text in enumerate(wrapped(caption, small, TILE - GUTTER, CAPTION_LINES)):
            draw.text((LABEL_WIDTH + k * (TILE + GAP), number * CAPTION_LEADING), text, fill="dimgray", font=small)
    for down, (label, files) in enumerate(lines):
        top = head + down * high
        text = "\n".join(wrapped(label, large, LABEL_WIDTH - 2 * GAP, 4))
        draw.text((GAP, top + TILE // 2), text, fill="black", font=large, anchor="lm")
        for k, (file, is_framed) in enumerate(files):
            left = LABEL_WIDTH + k * (TILE + GAP)
            for number, told in enumerate(wrapped(notes[down][k], small, TILE - GUTTER, NOTE_LINES) if notes else ()):
                draw.text((left, top + TILE + number * NOTE_LEADING), told, fill="dimgray", font=small)
            if not file.is_file():
                continue
            with Image.open(file) as image:
                page.paste(image.convert("RGB").resize((TILE, TILE), Image.Resampling.LANCZOS), (left, top))
            if is_framed:
                draw.rectangle((left, top, left + TILE - 1, top + TILE - 1), outline="crimson", width=FRAME)
    return page
