"""Safetensors files by their names and headers, so that a wrong one is named before any weights are read."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import BenchError

SUFFIX = ".safetensors"
FLOATS = ("F64", "F32", "F16", "BF16")
LONGEST_HEADER = 100_000_000  # bytes, safetensors' own limit
AGAIN = "Copy or fetch it again."


@dataclass(frozen=True)
class Tensor:
    """One entry of a header: its dtype by safetensors' name ("F32") and its shape."""

    dtype: str
    shape: tuple[int, ...]


def weight_files(names: Collection[str], base: str) -> tuple[str | None, list[str]]:
    """Which of a folder's files hold the weights: the variant ("fp16", or None for the plain ones) and their names.

    A sharded file is given by its index and whatever shards are there. The plain file comes before a variant.

    Args:
        names: the files' names.
        base: "diffusion_pytorch_model" or "model".

    Returns:
        (None, []) where there are none.

    Raises:
        BenchError: two files claim to be the same weights, or several variants are there and no plain one.

    >>> weight_files(["config.json", "model.fp16.safetensors"], "model")
    ('fp16', ['model.fp16.safetensors'])
    """
    single = re.compile(rf"{base}(?:\.([a-z0-9_]+))?\.safetensors")
    index = re.compile(rf"{base}\.safetensors\.index(?:\.([a-z0-9_]+))?\.json")
    found: dict[str | None, list[str]] = {}
    for name in sorted(names):
        if match := single.fullmatch(name) or index.fullmatch(name):
            found.setdefault(match[1], []).append(name)
    chosen = None if None in found else next(iter(found), None)
    if not found:
        return None, []
    if chosen is not None and len(found) > 1:
        raise BenchError(
            f"it has {' and '.join(files[0] for files in found.values())}, and no {base}{SUFFIX}: which one is meant? "
            f"Rename it to {base}{SUFFIX}."
        )
    files = found[chosen]
    if len(files) > 1:
        raise BenchError(f"it has both {' and '.join(files)}: which one is meant? Remove the other.")
    if files[0].endswith(SUFFIX):
        return chosen, files
    mark = f".{chosen}" if chosen else ""
    shard = re.compile(rf"{base}(?:{re.escape(mark)})?-\d+-of-\d+(?:{re.escape(mark)})?\.safetensors")
    return chosen, [*files, *(name for name in sorted(names) if shard.fullmatch(name))]


def read_headers(folder: Path, files: Collection[str]) -> tuple[dict[str, Tensor], list[str]]:
    """The tensors of one file, or of all shards that an index names, and the names of the files that are loaded.

    Raises:
        BenchError: a file is missing, cut off or no safetensors file, or the index names what is not there.
    """
    index = next((name for name in files if name.endswith(".json")), None)
    if index is None:
        (single,) = files
        return read_header(folder / single), [single]
    places = read_object(folder / index).get("weight_map")
    if not isinstance(places, dict) or not all(isinstance(shard, str) for shard in places.values()):
        raise BenchError(f"{index} has no weight_map, which says what lies in which file. {AGAIN}")
    shards = sorted(set(places.values()))
    found: dict[str, Tensor] = {}
    for shard in shards:
        if shard not in files:
            raise BenchError(f"{index} names {shard}, which is not there. {AGAIN}")
        found |= read_header(folder / shard)
    if lost := sorted(set(places) - set(found)):
        raise BenchError(f"{places[lost[0]]} lacks {some(lost)}, which {index} says it holds. {AGAIN}")
    return found, [index, *shards]


def read_header(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, without their values.

    Raises:
        BenchError: the file is cut off, or is no safetensors file.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        length = int.from_bytes(start, "little")
        if start.startswith(b"version"):
            raise BenchError(
                f"{path.name} is a pointer of Git LFS, not the file. `git lfs pull` in its folder gets it."
            )
        if len(start) < 8 or length > LONGEST_HEADER:
            raise BenchError(f"{path.name} ({size:,} bytes) is no safetensors file. {AGAIN}")
        header = file.read(length)
    if len(header) < length:
        raise BenchError(f"{path.name} is cut off after {size:,} bytes. {AGAIN}")
    try:
        entries: Mapping[str, Any] = json.loads(header)
        tensors = {name: entry for name, entry in entries.items() if name != "__metadata__"}
        found = {name: Tensor(str(entry["dtype"]), tuple(entry["shape"])) for name, entry in tensors.items()}
        end = 8 + length + max((int(entry["data_offsets"][1]) for entry in tensors.values()), default=0)
    except (ValueError, TypeError, KeyError, AttributeError, IndexError):
        raise BenchError(f"{path.name} has a header that is no safetensors file's. {AGAIN}") from None
    if size != end:
        fault = "is cut off" if size < end else "has something after its end"
        raise BenchError(f"{path.name} {fault}: {size:,} bytes where its header says {end:,}. {AGAIN}")
    return found


def read_object(path: Path) -> dict[str, Any]:
    """A JSON file's object.

    Raises:
        BenchError: it is not valid JSON, or no object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise BenchError(f"{path.name} is not valid JSON: {error}. {AGAIN}") from None
    if not isinstance(content, dict):
        raise BenchError(f"{path.name} is no JSON object. {AGAIN}")
    return content


def some(names: Collection[str]) -> str:
    """Up to three names, and how many there are more."""
    shown = ", ".join(list(names)[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"
