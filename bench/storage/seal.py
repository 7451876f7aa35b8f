"""Safetensors files that carry a checksum of themselves, so that a torn or altered one is never used."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

FIELD, BLANK = "sha256", "0" * 64
LONGEST_HEADER = 100_000_000  # bytes, as safetensors itself allows


def seal(path: Path) -> None:
    """Write the file's checksum into its header, which must hold `{FIELD: BLANK}` among its metadata."""
    header = _header(path)
    place = 8 + header.index(BLANK.encode())
    digest = _digest(path, header, BLANK)
    with path.open("r+b") as file:
        file.seek(place)
        file.write(digest.encode())


def is_intact(path: Path) -> bool:
    """Whether every byte of the file is as it was when it was sealed; False for a missing or torn one."""
    try:
        header = _header(path)
        digest = str(json.loads(header)["__metadata__"][FIELD])
        return len(digest) == len(BLANK) and _digest(path, header, digest) == digest
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _header(path: Path) -> bytes:
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 0 < length < LONGEST_HEADER:
            raise ValueError(f"{path} is no safetensors file")
        return file.read(length)


def _digest(path: Path, header: bytes, written: str) -> str:
    """SHA-256 of the file with a blank in the place of its checksum, read in pieces."""
    digest = hashlib.sha256(len(header).to_bytes(8, "little"))
    digest.update(header.replace(written.encode(), BLANK.encode(), 1))
    with path.open("rb") as file:
        file.seek(8 + len(header))
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()
