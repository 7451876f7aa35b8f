"""Prompts from the field's files: CSV (I2P, coco_30k), Parquet, JSON lines, COCO's own JSON, text, hub data sets."""

from __future__ import annotations

import csv
import glob
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from erasebench.errors import BenchError

from .prompt import Prompt

TABLES = {".csv": "csv", ".parquet": "parquet", ".jsonl": "json"}
SUFFIXES = (*TABLES, ".json", ".txt")
TEXT = "prompt"
IDS = ("case_number", "image_id", "id")
SEEDS = ("evaluation_seed", "sd_seed", "seed")
GUIDANCES = ("sd_guidance_scale", "guidance")
WIDTHS, HEIGHTS = ("sd_image_width", "width"), ("sd_image_height", "height")
CATEGORIES = ("categories", "category")
FILE_NAME = "file_name"
MAX_SIDE = 4096
LARGEST = 1_000_000_000  # bytes: COCO's own captions have 92 million
LONGEST = 10_000  # characters of a prompt


def is_file_source(source: str) -> bool:
    """Whether a source names a file or a hub data set."""
    return source.startswith("hub:") or Path(source).suffix.lower() in SUFFIXES or "/" in source


def read_prompts(source: str, count: int | None, category: str | None = None) -> tuple[Prompt, ...]:
    """The first `count` prompts (None: all) of a file or hub data set, of one category if that is given.

    Raises:
        BenchError: the file is missing, of an unknown kind or broken; names the line and what is wrong there.
    """
    path = Path(source)
    if source.startswith("hub:"):
        rows = _hub(source)
    elif not path.is_file():
        raise BenchError(f"prompts: there is no file {source}.")
    elif path.stat().st_size > LARGEST:
        raise BenchError(f"prompts: {source} has over {LARGEST:,} bytes. Give the part of it that is used.")
    elif path.suffix.lower() == ".txt":
        rows = [{TEXT: line.strip(), "line": k} for k, line in enumerate(_text(path).splitlines(), 1) if line.strip()]
    elif path.suffix.lower() == ".json":
        rows = _coco(path)
    elif path.suffix.lower() in TABLES:
        rows = _table(path)
    else:
        raise BenchError(f"prompts: {source} is none of {', '.join(SUFFIXES)}; convert it to CSV.")
    if rows and TEXT not in rows[0]:
        raise BenchError(f"prompts: {source} has no column {TEXT!r}; its columns are {', '.join(map(str, rows[0]))}.")
    rows = [{"record": k, **row} for k, row in enumerate(rows, 1)]
    if category is not None:
        rows = _of_category(rows, category, source)
    prompts = [_prompt(row, k, f"prompts: {source}, {_place(row, path)}") for k, row in enumerate(rows[:count])]
    names = [prompt.id for prompt in prompts]
    if len(set(names)) < len(names):  # several captions of an image: their order tells them apart
        prompts = [Prompt(**{**vars(p), "id": f"{p.id}-{k}"}) for k, p in enumerate(prompts)]
    return tuple(prompts)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (UnicodeDecodeError, OSError) as error:
        raise BenchError(f"prompts: {path} can't be read as UTF-8 text: {error}") from None


def _table(path: Path) -> list[dict[str, Any]]:
    from datasets import Features, Value, disable_progress_bars, load_dataset
    from datasets.exceptions import DatasetGenerationError

    disable_progress_bars()
    kind = TABLES[path.suffix.lower()]
    options: dict[str, Any] = {}
    if kind == "csv":  # all cells are texts: a prompt may be the word "null" or "12", and ids may begin with zeros
        header = next(csv.reader(_text(path).splitlines()[:1]), [])
        columns = [name or f"Unnamed: {k}" for k, name in enumerate(header)]  # as pandas calls an index without a name
        options = {"keep_default_na": False, "features": Features({name: Value("string") for name in columns})}
    try:
        return list(load_dataset(kind, data_files=glob.escape(str(path)), split="train", **options))
    except (ValueError, OSError, DatasetGenerationError) as error:
        reason = error.__cause__ or error
        raise BenchError(f"prompts: {path} can't be read as {kind}: {reason}") from None


def _hub(source: str) -> list[dict[str, Any]]:
    from datasets import load_dataset

    match = re.fullmatch(r"hub:([\w.-]+/[\w.-]+)(?:@([\w.-]+))?(?::([\w.-]+))?", source)
    if match is None:
        raise BenchError(f"prompts: {source}: write hub:OWNER/NAME, hub:OWNER/NAME@REVISION or …:SPLIT.")
    name, revision, split = match.groups()
    try:
        table = load_dataset(name, revision=revision, split=split or "train")
    except (ConnectionError, OSError) as error:
        raise BenchError(
            f"prompts: the data set {name} is not in the local cache and could not be fetched ({error}). "
            "Download its CSV or Parquet file and give that."
        ) from None
    except (ValueError, RuntimeError) as error:
        raise BenchError(f"prompts: the data set {name} can't be read: {error}") from None
    known = {TEXT, *IDS, *SEEDS, *GUIDANCES, *WIDTHS, *HEIGHTS, *CATEGORIES, FILE_NAME}
    if TEXT not in table.column_names:
        raise BenchError(f"prompts: {source} has no column {TEXT!r}; its columns are {', '.join(table.column_names)}.")
    return list(table.select_columns([column for column in table.column_names if column in known]))


def _coco(path: Path) -> list[dict[str, Any]]:
    """COCO's captions_*.json: each image's first caption (that with the lowest id), in the images' order."""
    try:
        content = json.loads(_text(path))
        images, annotations = content["images"], content["annotations"]
        first: dict[int, str] = {}
        for annotation in sorted(annotations, key=lambda entry: entry["id"]):
            first.setdefault(annotation["image_id"], annotation["caption"].strip())
        found = [(image["id"], image["file_name"]) for image in images if image["id"] in first]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BenchError(
            f"prompts: {path} is not COCO's captions JSON ({error!r}); it needs `images` with `id` and `file_name`, "
            "and `annotations` with `id`, `image_id` and `caption`."
        ) from None
    return [{TEXT: first[id_], "image_id": str(id_).zfill(12), FILE_NAME: name} for id_, name in found]


def _of_category(rows: list[dict[str, Any]], category: str, source: str) -> list[dict[str, Any]]:
    column = next((name for name in CATEGORIES if rows and name in rows[0]), None)
    if column is None:
        raise BenchError(f"prompts: {source} has no column `categories`; leave `category` out.")
    known = [[part.strip() for part in str(row[column]).split(",")] for row in rows]
    found = [row for row, parts in zip(rows, known, strict=True) if category in parts]
    if not found:
        names = sorted({part for parts in known for part in parts})
        raise BenchError(f"prompts: {source} has no prompt of the category {category!r}; it has {', '.join(names)}.")
    return found


def _place(row: Mapping[str, Any], path: Path) -> str:
    """Where a row stands, for errors: a text file's line, a CSV's record after its header, or its number."""
    if "line" in row:
        return f"line {row['line']}"
    return f"record {row['record']}{' after the header' if path.suffix == '.csv' else ''}"


def _value(row: Mapping[str, Any], columns: tuple[str, ...]) -> Any:
    """The first of these columns that is there and not empty."""
    return next((row[name] for name in columns if row.get(name) not in (None, "")), None)


def _number(row: Mapping[str, Any], columns: tuple[str, ...], where: str, low: float, high: float) -> float | None:
    value = _value(row, columns)
    if value is None:
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = float("nan")
    if not low <= number <= high:
        column = next(name for name in columns if row.get(name) not in (None, ""))
        raise BenchError(f"{where}: {column} {value!r} is no number from {low:g} to {high:g}.")
    return number


def _prompt(row: Mapping[str, Any], k: int, where: str) -> Prompt:
    text = row[TEXT]
    if not isinstance(text, str) or not text.strip():
        raise BenchError(f"{where}: the prompt is empty.")
    if len(text) > LONGEST:
        raise BenchError(f"{where}: the prompt has {len(text):,} characters, over {LONGEST:,}.")
    name = str(_value(row, IDS) if _value(row, IDS) is not None else f"{k:05d}")
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}", name):
        raise BenchError(
            f"{where}: the id {name!r} is not made of up to 64 letters, digits, dots, dashes, underscores."
        )
    seed = _number(row, SEEDS, where, 0, 2**63 - 1)
    if seed is not None and seed != int(seed):
        raise BenchError(f"{where}: the seed {seed} is no whole number.")
    width = _number(row, WIDTHS, where, 64, MAX_SIDE)
    height = _number(row, HEIGHTS, where, 64, MAX_SIDE)
    size = None if width is None or height is None else (int(width), int(height))
    if size is not None and (size[0] % 8 or size[1] % 8):
        raise BenchError(f"{where}: the size {size[0]}×{size[1]} is no multiple of 8.")
    return Prompt(
        f"prompt-{name}",
        text.strip(),
        None if seed is None else _whole(_value(row, SEEDS)),
        _number(row, GUIDANCES, where, 0, 100),
        size,
        _reference(row),
    )


def _whole(value: Any) -> int:
    """A whole number as files write it: 41337, "41337", "41337.0" or "1e5"; exact where it is written out."""
    try:
        return int(value)
    except ValueError:
        return int(float(value))


def _reference(row: Mapping[str, Any]) -> str | None:
    """The file name of a caption's real image, or its COCO id as twelve digits; None where the file names neither."""
    if row.get(FILE_NAME):
        return str(row[FILE_NAME])
    id_ = row.get("image_id")
    return None if id_ in (None, "") else str(id_).zfill(12)
