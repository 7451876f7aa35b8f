"""What the columns of the field's prompt files mean, and a record as a prompt."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from typing import Any

from erasebench.errors import BenchError

from .prompt import Prompt

TEXT = "prompt"
FILE_NAME = "file_name"
CATEGORY = "category"
CLEAN = "clean_prompt"
# The spellings of published files, the first that is there and not empty counts. I2P on the hub: sd_seed,
# sd_guidance_scale, sd_image_width; I2P as ESD, UCE, MACE, Ring-A-Bell and UnlearnDiffAtk ship it: evaluation_seed,
# evaluation_guidance; coco_30k.csv: image_id (ESD, Adversarial Preservation), coco_id beside case_number (UCE, MACE).
SPELLINGS = {
    "id": ("case_number", "image_id", "coco_id", "id"),
    "image": ("coco_id", "image_id"),
    "seed": ("evaluation_seed", "sd_seed", "seed"),
    "guidance": ("evaluation_guidance", "sd_guidance_scale", "guidance_scale", "guidance"),
    "width": ("sd_image_width", "image_width", "width"),
    "height": ("sd_image_height", "image_height", "height"),
    CATEGORY: ("categories", "category", "class", "label_str", "artist", "type", "concept"),
}
KNOWN = {TEXT, CLEAN, FILE_NAME, *(name for names in SPELLINGS.values() for name in names)}
# Words in the name of a column that would change what is drawn, if it were read.
TELLING = ("seed", "guidance", "cfg", "width", "height", "prompt", "steps", "scheduler", "sampler")
NOT_DRAWN = re.compile(r"prompt_toxicity|prompt_?\d+")  # I2P's scores; Ring-A-Bell's counterpart of a prompt

MOST_SEED = 2**63 - 1
EXACT = 2**53  # whole numbers up to which a float is exact
MOST_GUIDANCE = 1000  # I2P has 255
LEAST_SIDE, MOST_SIDE = 64, 4096
LONGEST = 10_000  # characters of a prompt
ID = r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}"


def known_columns(names: Iterable[str]) -> tuple[dict[str, str], list[str]]:
    """How known columns are called in a file, by their known spelling, and remarks on those that are near one.

    A name that differs by case, spaces or dashes alone is read; any other that is near a known one is not.

    Raises:
        BenchError: two columns differ by case, spaces or dashes alone.
    """
    found: dict[str, str] = {}
    remarks = []
    for name in sorted(names, key=lambda name: name not in KNOWN):
        plain = re.sub(r"[\s_-]+", "_", name.strip().lower())
        if plain in KNOWN:
            if plain in found:
                raise BenchError(f"the columns {found[plain]!r} and {name!r} are both read as {plain}. Remove one.")
            found[plain] = name
            if name != plain:
                remarks.append(f"the column {name!r} is read as {plain}")
        elif not NOT_DRAWN.fullmatch(plain):
            remarks += _remark(name, plain)
    return found, remarks


def _remark(name: str, plain: str) -> list[str]:
    """What to say of an unknown column that may be meant for a known one, or for a setting; nothing for any other."""
    words = plain.split("_")
    close = get_close_matches(plain, KNOWN, n=1, cutoff=0.85)
    if meant := close or [SPELLINGS[word][0] for word in words if word in SPELLINGS and word in TELLING]:
        return [f"the column {name!r} is not read; if it is what {meant[0]} means, call it so"]
    if any(word in TELLING for word in words):
        return [f"the column {name!r} is not read; what it says can stand in the plan alone"]
    return []


def renamed(cells: Mapping[str, Any], found: Mapping[str, str]) -> dict[str, Any]:
    """A record's known cells under the known spellings."""
    return {known: cells[name] for known, name in found.items() if name in cells}


def prompt_of(cells: Mapping[str, Any], k: int, where: str) -> Prompt:
    """A record's known cells, with a prompt among them, as a prompt; without an id of its own it is number k.

    Raises:
        BenchError: a cell is not what its column asks for; names the place, the column and what is allowed.
    """
    text = cells[TEXT]
    if not isinstance(text, str):
        raise BenchError(f"{where}: the prompt {text!r} is no text. Write it in quotes.")
    if len(text) > LONGEST:
        raise BenchError(f"{where}: the prompt has {len(text):,} characters, over {LONGEST:,}.")
    name = _identifier(cells, "id")
    name = f"{k:05d}" if name is None else name
    if not re.fullmatch(ID, name):
        raise BenchError(
            f"{where}: the id {name!r} is not made of up to 64 letters, digits, dots, dashes, underscores."
        )
    width, height = (_whole(cells, side, where, LEAST_SIDE, MOST_SIDE) for side in ("width", "height"))
    if (width is None) != (height is None):
        raise BenchError(f"{where}: a width without a height, or the other way round. Give both or none.")
    size = None if width is None or height is None else (width, height)
    if size is not None and (size[0] % 8 or size[1] % 8):
        raise BenchError(f"{where}: the size {size[0]}×{size[1]} is no multiple of 8.")
    return Prompt(
        f"prompt-{name}",
        text.strip(),
        _whole(cells, "seed", where, 0, MOST_SEED),
        _number(cells, "guidance", where, 0, MOST_GUIDANCE),
        size,
        _reference(cells),
        clean=None if is_empty(cells.get(CLEAN)) else str(cells[CLEAN]).strip(),
    )


def categories_of(cells: Mapping[str, Any]) -> set[str]:
    """The categories of a record in any of the known columns; in I2P's `categories` several with commas, or a list."""
    found: list[str] = []
    for name in SPELLINGS[CATEGORY]:
        value = cells.get(name)
        if isinstance(value, list | tuple):
            found += map(str, value)
        elif not is_empty(value):
            found += str(value).split(",") if name == "categories" else [str(value)]
    return {part.strip() for part in found if part.strip()}


def is_empty(value: Any) -> bool:
    """Whether a cell says nothing."""
    return value is None or (isinstance(value, str) and not value.strip())


def _value(cells: Mapping[str, Any], what: str) -> tuple[str, Any]:
    """The first column of this meaning that is not empty, with its cell; ("", None) where there is none."""
    given = ((name, cells[name]) for name in SPELLINGS[what] if not is_empty(cells.get(name)))
    return next(given, ("", None))


def _decimal(value: Any) -> Decimal | None:
    """A cell as the exact number that it writes; None where it is no number."""
    if isinstance(value, bool):
        return None
    try:
        number = Decimal(repr(value) if isinstance(value, float) else str(value).strip())
    except InvalidOperation:
        return None
    return number if number.is_finite() and (not isinstance(value, str) or "_" not in value) else None


def _checked(cells: Mapping[str, Any], what: str, where: str, low: int, high: int) -> tuple[str, Any, Decimal | None]:
    """The column, cell and number of this meaning, within its range and the same in all of its columns."""
    column, value = _value(cells, what)
    number = _decimal(value)
    if column and (number is None or not low <= number <= high):
        raise BenchError(f"{where}: {column} {value!r} is no number from {low:,} to {high:,}.")
    for other in SPELLINGS[what]:
        if not is_empty(cells.get(other)) and _decimal(cells[other]) != number:
            raise BenchError(
                f"{where}: {column} {value!r} and {other} {cells[other]!r} disagree. Remove one of the columns."
            )
    return column, value, number


def _number(cells: Mapping[str, Any], what: str, where: str, low: int, high: int) -> float | None:
    number = _checked(cells, what, where, low, high)[2]
    return None if number is None else float(number)


def _whole(cells: Mapping[str, Any], what: str, where: str, low: int, high: int) -> int | None:
    """A whole number as files write it: 41337, "41337", "41337.0" or "1e5"; exact, or refused."""
    _, value, number = _checked(cells, what, where, low, high)
    if number is None:
        return None
    if number != int(number):
        raise BenchError(f"{where}: the {what} {value} is no whole number.")
    if number > EXACT and not re.fullmatch(r"\+?\d+", str(value).strip()):
        raise BenchError(
            f"{where}: the {what} {value} went through a float, which holds whole numbers only up to 2^53. "
            "Write it with all its digits."
        )
    return int(number)


def _identifier(cells: Mapping[str, Any], what: str) -> str | None:
    """An id as text: 203564.0, which pandas makes of a column with gaps, is 203564."""
    _, value = _value(cells, what)
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer() and value < EXACT:
        return str(int(value))
    return re.sub(r"^(\d+)\.0+$", r"\1", str(value).strip())


def _reference(cells: Mapping[str, Any]) -> str | None:
    """The file name of a caption's real image, or its COCO id as twelve digits; None where the file names neither."""
    if not is_empty(cells.get(FILE_NAME)):
        return str(cells[FILE_NAME]).strip()
    id_ = _identifier(cells, "image")
    return id_.zfill(12) if id_ is not None and is_number(id_) else id_


def is_number(text: str) -> bool:
    """Whether a text is nothing but the digits 0 to 9."""
    return re.fullmatch(r"[0-9]+", text) is not None
