"""The concepts of a spectrum: CLIP's vocabulary, its whole words, or a file."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from erasebench.prompts.records import csv_records

from ..errors import BenchError
from ..models.clip_tokens import byte_letters
from ..storage.keys import content_key
from ..storage.text_files import lines, read_text

END_OF_WORD = "</w>"
SEED = 0  # of random samples
LARGEST = 100_000_000  # bytes of a file
COLUMNS = ("concept", "word", "prompt")
BUILT_IN = {
    "clip": "all entries of the CLIP tokenizer but the two specials",
    "words": "those of them that are whole alphabetic words",
}


@dataclass(frozen=True)
class Vocabulary:
    """Concepts in a fixed order.

    Attributes:
        name: clip, words, or the file's name.
        texts: what is given to the text encoder.
        ids: token ids, or in a file the lines.
        is_word: whether an entry is a whole alphabetic word that the tokenizer reads back as itself.
        remark: what was left out, cut or sampled, "" for nothing.
    """

    name: str
    texts: tuple[str, ...]
    ids: tuple[int, ...]
    is_word: tuple[bool, ...]
    remark: str = ""

    def __len__(self) -> int:
        return len(self.texts)

    def sample(self, count: int | None) -> Vocabulary:
        """A random sample of so many entries, the same on every machine; all for None.

        The order is random too: a smaller sample is the beginning of a larger one.
        """
        if count is None or count >= len(self):
            return self
        remark = f"a random sample of {count:,} of {len(self):,} entries"
        chosen = sorted(range(len(self)), key=lambda k: hashlib.sha256(f"{SEED}/{self.texts[k]}".encode()).digest())
        kept = self.only(chosen[:count], self.name)
        return replace(kept, remark="; ".join(part for part in (remark, self.remark) if part))

    def only(self, kept: Sequence[int], name: str) -> Vocabulary:
        """These entries, under another name."""
        texts, ids = tuple(self.texts[k] for k in kept), tuple(self.ids[k] for k in kept)
        return Vocabulary(name, texts, ids, tuple(self.is_word[k] for k in kept), self.remark)

    @cached_property
    def key(self) -> str:
        return content_key(texts=self.texts)


def read_vocabulary(source: str, tokenizer: Any, limit: int | None = None) -> Vocabulary:
    """A vocabulary by name or file: text with one concept a line, or a CSV with a column concept, word or prompt.

    With a `limit` a random sample of it, and of CLIP's vocabulary one of its whole words.

    Raises:
        BenchError: the file is missing, of another kind, or empty.
    """
    if source in BUILT_IN:
        whole = clip_vocabulary(tokenizer)
        if source == "clip" and limit is None:
            return whole
        return whole.only([k for k, word in enumerate(whole.is_word) if word], "words").sample(limit)
    path = Path(source)
    if not path.is_file():
        raise BenchError(f"--vocabulary {source}: give {', '.join(BUILT_IN)}, or a file that exists.")
    if path.stat().st_size > LARGEST:
        raise BenchError(f"--vocabulary {path}: over {LARGEST:,} bytes. Give the part of it that is used.")
    return _file_vocabulary(path, tokenizer).sample(limit)


def clip_vocabulary(tokenizer: Any) -> Vocabulary:
    """Every entry of the tokenizer without its specials, by id, with the end-of-word mark stripped and bytes decoded.

    A piece of a letter of several bytes decodes to U+FFFD and is no word.
    """
    specials = set(tokenizer.all_special_ids)
    entries = sorted((id_, token) for token, id_ in tokenizer.get_vocab().items() if id_ not in specials)
    byte_of = byte_letters()
    texts = [
        bytes(byte_of[letter] for letter in token.removesuffix(END_OF_WORD)).decode("utf-8", errors="replace")
        for _, token in entries
    ]
    read_back = tokenizer(texts, truncation=True).input_ids
    is_word = [
        token.endswith(END_OF_WORD) and text.isalpha() and back[1:-1] == [id_]
        for (id_, token), text, back in zip(entries, texts, read_back, strict=True)
    ]
    return Vocabulary("clip", tuple(texts), tuple(id_ for id_, _ in entries), tuple(is_word))


def _file_vocabulary(path: Path, tokenizer: Any) -> Vocabulary:
    try:
        found = _csv_lines(path) if path.suffix.lower() == ".csv" else _text_lines(path)
    except BenchError as error:
        raise BenchError(f"--vocabulary {path}: {error}") from None
    first: dict[str, int] = {}
    for number, text in found:
        first.setdefault(text, number)
    if not first:
        raise BenchError(f"--vocabulary {path}: the file holds no concept.")
    texts = tuple(first)
    counts = [len(ids) for ids in tokenizer(list(texts)).input_ids]
    long = [text for text, count in zip(texts, counts, strict=True) if count > tokenizer.model_max_length]
    remarks = []
    if twice := len(found) - len(first):
        remarks.append(f"{twice} entries stand there twice and are taken once")
    if long:
        shown = long[0][:40]
        remarks.append(f"{len(long)} entries are longer than {tokenizer.model_max_length} tokens and are cut: {shown}…")
    is_word = tuple(text.isalpha() for text in texts)
    return Vocabulary(path.name, texts, tuple(first.values()), is_word, "; ".join(remarks))


def _text_lines(path: Path) -> list[tuple[int, str]]:
    return [(number, line.strip()) for number, line in enumerate(lines(read_text(path)), 1) if line.strip()]


def _csv_lines(path: Path) -> list[tuple[int, str]]:
    records = csv_records(path, COLUMNS[-1])
    columns = list(records[0].cells) if records else []
    column = next((name for name in COLUMNS if name in columns), None)
    if column is None:
        raise BenchError(f"has none of the columns {', '.join(COLUMNS)}; it has {', '.join(columns)}.")
    return [(record.line, text) for record in records if (text := record.cells[column].strip())]
