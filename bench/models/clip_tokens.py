"""CLIP's tokens: sizes, the bytes behind its vocabulary's letters, texts that are too long."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

VOCABULARY_SIZE = 49408
START, END = 49406, 49407
MAX_TOKENS = 77


def byte_letters() -> dict[str, int]:
    """The printable stand-in of each byte, in the order of CLIP's vocabulary (GPT-2's byte-level BPE)."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + k): byte for k, byte in enumerate(hidden)}


def vocabulary_texts(folder: Path) -> list[str]:
    """The readable text of every token id, with `</w>` stripped and byte-level letters decoded."""
    vocabulary = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
    byte_of = byte_letters()
    texts = []
    for entry in sorted(vocabulary, key=vocabulary.get):
        if entry.startswith("<|"):
            texts.append("")
            continue
        word = entry.removesuffix("</w>")
        texts.append(bytes(byte_of[letter] for letter in word).decode("utf-8", errors="replace"))
    return texts


def count_truncated(tokenizer: Any, texts: Sequence[str]) -> int:
    """How many texts have more tokens than the tokenizer's context, start and end included."""
    if hasattr(tokenizer, "encode"):  # CLIP's own; the others wrap one of transformers
        counts = [len(tokenizer.encode(text)) + 2 for text in texts]
    else:
        counts = [len(ids) for ids in tokenizer.tokenizer(list(texts)).input_ids]
    return sum(count > tokenizer.context_length for count in counts)
