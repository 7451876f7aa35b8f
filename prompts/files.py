"""Prompts from the field's files: CSV (I2P, coco_30k), Parquet, JSON lines, COCO's own JSON, text, hub data sets."""

from __future__ import annotations

import json
import logging
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

from erasebench.errors import BenchError
from erasebench.storage.text_files import read_text

from .columns import CATEGORY, FILE_NAME, SPELLINGS, TEXT, categories_of, is_empty, known_columns, prompt_of, renamed
from .prompt import Prompt
from .records import Record, csv_records, json_records, parquet_records, text_records

LARGEST = 1_000_000_000  # bytes: COCO's own captions have 92 million


def is_file_source(source: str) -> bool:
    """Whether a source names a file or a hub data set."""
    return source.startswith("hub:") or Path(source).suffix.lower() in READERS or "/" in source


def read_prompts(source: str, count: int | None, category: str | None = None) -> tuple[Prompt, ...]:
    """The first `count` prompts (None: all) of a file or hub data set, of one category if that is given.

    A file is read anew each time, nothing of it is kept. Columns that are near a known one are named in a warning.

    Raises:
        BenchError: the file is missing, of an unknown kind or broken; names the line and what is wrong there.
    """
    path = Path(source)
    if source.startswith("hub:"):
        records = _hub(source)
    elif not path.is_file():
        raise BenchError(f"prompts: there is no file {source}.")
    elif path.stat().st_size > LARGEST:
        raise BenchError(f"prompts: {source} has over {LARGEST:,} bytes. Give the part of it that is used.")
    elif path.suffix.lower() not in READERS:
        raise BenchError(f"prompts: {source} is none of {', '.join(READERS)}; convert it to CSV.")
    else:
        try:
            records = READERS[path.suffix.lower()](path)
        except BenchError as error:
            raise BenchError(f"prompts: {source}: {error}") from None
    try:
        return _prompts(records, count, category, source)
    except BenchError as error:
        raise BenchError(f"prompts: {source}: {error}") from None


def _prompts(records: Sequence[Record], count: int | None, category: str | None, source: str) -> tuple[Prompt, ...]:
    columns = dict.fromkeys(name for record in records for name in record.cells)
    found, remarks = known_columns(columns)
    if records and TEXT not in found:
        raise BenchError(
            f"there is no column {TEXT!r}; its columns are {', '.join(columns)}. The first line must name the columns."
        )
    for remark in remarks:
        _warn_once(f"{source}: {remark}")
    cells = [(k, record.place, renamed(record.cells, found)) for k, record in enumerate(records)]
    if category is not None:
        known = [categories_of(one) for _, _, one in cells]
        _check_category(category, known, not any(name in found for name in SPELLINGS[CATEGORY]))
        cells = [one for one, names in zip(cells, known, strict=True) if category in names]
    empty = [place for _, place, one in cells if is_empty(one.get(TEXT))]
    if empty:  # I2P itself has one
        _warn_once(f"{source}: records without a prompt are left out: {len(empty)}, such as {empty[0]}")
    asked = [one for one in cells if not is_empty(one[2].get(TEXT))]
    return _with_unique_ids([prompt_of(one, k, place) for k, place, one in asked[:count]])


@cache
def _warn_once(text: str) -> None:
    logging.getLogger("erasebench").warning("%s", text)


def _check_category(category: str, known: Sequence[set[str]], is_without: bool) -> None:
    if is_without:
        raise BenchError(f"there is no column of categories ({', '.join(SPELLINGS[CATEGORY])}). Leave `category` out.")
    if not any(category in names for names in known):
        names = sorted(set().union(*known))
        shown = ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")
        raise BenchError(f"there is no prompt of the category {category!r}; there are {shown}.")


def _with_unique_ids(prompts: Sequence[Prompt]) -> tuple[Prompt, ...]:
    """Several captions of an image share its id: the second becomes ID-2 and so on, whatever follows; one cluster."""
    given, taken, seen = {prompt.id for prompt in prompts}, set[str](), Counter[str]()
    unique = []
    for prompt in prompts:
        seen[prompt.id] += 1
        if seen[prompt.id] == 1:
            unique.append(prompt)
            continue
        name = f"{prompt.id}-{seen[prompt.id]}"
        if name in given | taken:
            raise BenchError(f"the id {prompt.id.removeprefix('prompt-')!r} stands there twice, beside {name!r}.")
        taken.add(name)
        unique.append(replace(prompt, id=name, template=prompt.id))
    return tuple(unique)


def _hub(source: str) -> list[Record]:
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
    wanted = [name for name in table.column_names if any(known_columns([name]))]
    if TEXT not in known_columns(wanted)[0]:
        raise BenchError(f"prompts: {source} has no column {TEXT!r}; its columns are {', '.join(table.column_names)}.")
    return [Record(f"record {k}", cells) for k, cells in enumerate(table.select_columns(wanted), 1)]


def _coco(path: Path) -> list[Record]:
    """COCO's captions_*.json: each image's first caption (that with the lowest id), in the images' order."""
    try:
        content = json.loads(read_text(path))
        images, annotations = content["images"], content["annotations"]
        first: dict[int, str] = {}
        for annotation in sorted(annotations, key=lambda entry: entry["id"]):
            first.setdefault(annotation["image_id"], annotation["caption"].strip())
        names = {image["id"]: image["file_name"] for image in images}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BenchError(
            f"is not COCO's captions JSON ({error!r}); it needs `images` with `id` and `file_name`, "
            "and `annotations` with `id`, `image_id` and `caption`."
        ) from None
    if len(names) < len(images):
        twice = Counter(image["id"] for image in images).most_common(1)[0][0]
        raise BenchError(f"two of its images have the id {twice}.")
    for lost, what in ((first.keys() - names.keys(), "captions of images"), (names.keys() - first.keys(), "images")):
        if lost:
            reason = "that `images` does not name" if what != "images" else "without a caption"
            _warn_once(f"{path}: {len(lost)} {what} {reason}, such as {min(lost)}, are left out")
    cells = [{TEXT: first[id_], "image_id": str(id_).zfill(12), FILE_NAME: names[id_]} for id_ in names if id_ in first]
    return [Record(f"image {cell['image_id']}", cell) for cell in cells]


READERS: dict[str, Callable[[Path], list[Record]]] = {
    ".csv": partial(csv_records, text_column=TEXT),
    ".parquet": parquet_records,
    ".jsonl": json_records,
    ".json": _coco,
    ".txt": partial(text_records, column=TEXT),
}
