"""Tables in files as records: CSV (RFC 4180), JSON lines, Parquet, text; strict, and read anew each time."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from erasebench.errors import BenchError
from erasebench.storage.text_files import lines, read_text

# A cell and what ends it; `plain` may hold quotes, but not begin with one.
CELL = re.compile(r'(?:"(?P<quoted>[^"]*(?:""[^"]*)*)"|(?P<plain>(?!")[^,\n]*))(?P<end>,|\r?\n|\r?\Z)')
OTHER_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}
INDEX = re.compile(r"\d*")  # what a column without a name may hold: pandas' row numbers, or nothing


@dataclass(frozen=True)
class Record:
    """One record: where it stands in the file ("line 3"), its cells by column, and the line's number for a text."""

    place: str
    cells: Mapping[str, Any]
    line: int = 0


def csv_records(path: Path, text_column: str) -> list[Record]:
    """A CSV file's records; all cells are texts, so that a prompt may be the word "null" and ids begin with zeros.

    As RFC 4180 has it: commas between cells, a header, and quotes around what holds a comma, a quote or a newline;
    lines without anything are left out. Spaces around column names are not part of them.

    Args:
        text_column: the column of running text, whose unquoted commas are looked for.

    Raises:
        BenchError: a record does not fit the header, or quotes do not pair; names its line and how to mend it.
    """
    rows = _csv_rows(read_text(path))
    _, header = next(rows, (0, []))
    names = [cell.strip() for cell, _ in header]
    _check_header(names)
    records = []
    for line, row in rows:
        where = f"line {line}"
        if len(row) != len(names):
            _refuse_count(where, row, names)
        for name, (cell, quoted) in zip(names, row, strict=True):
            if not name and not INDEX.fullmatch(cell.strip()):
                raise BenchError(
                    f"{where}: {cell!r} stands in a column without a name. Name it in the header, or put a text with "
                    "commas in quotes."
                )
            if cell[:1] in " \t" and not quoted and cell.lstrip().startswith('"'):
                raise BenchError(f"{where}: a quote after a space ({cell!r}). Remove the space before the quote.")
        if text_column in names:
            _check_comma_after(where, row, names, names.index(text_column), header)
        records.append(Record(where, {name: cell for name, (cell, _) in zip(names, row, strict=True) if name}, line))
    return records


def _csv_rows(text: str) -> Iterator[tuple[int, list[tuple[str, bool]]]]:
    """Rows with the lines that they begin in; each cell with whether it was quoted."""
    position, line = 0, 1
    while position < len(text):
        row: list[tuple[str, bool]] = []
        began = line
        while True:
            match = CELL.match(text, position)
            if match is None:
                _refuse_quote(text, position, line)
            position, end = match.end(), match["end"]
            quoted, plain = match["quoted"], match["plain"] or ""
            if end != ",":
                plain = plain.removesuffix("\r")
            if "\r" in plain:
                raise BenchError(
                    f"line {line}: a carriage return within the line. End lines with newlines, or put the text in "
                    "quotes."
                )
            row.append((plain, False) if quoted is None else (quoted.replace('""', '"'), True))
            line += match[0].count("\n")
            if end != ",":
                break
        if row != [("", False)]:
            yield began, row


def _refuse_quote(text: str, position: int, line: int) -> NoReturn:
    closing = re.compile(r'"[^"]*(?:""[^"]*)*"').match(text, position)
    if closing is None:
        raise BenchError(f"line {line}: a quote opens and is never closed. Close it; a quote within quotes is doubled.")
    line += closing[0].count("\n")
    after = text[closing.end() : closing.end() + 20].split("\n")[0]
    raise BenchError(f"line {line}: {after!r} after a closing quote. A quote within quotes is doubled.")


def _check_header(names: Sequence[str]) -> None:
    if len(names) == 1:
        for letter, called in OTHER_SEPARATORS.items():
            if letter in names[0]:
                raise BenchError(f"the header {names[0]!r} has {called} between columns. Save it with commas.")
    twice = [name for name, times in Counter(names).items() if times > 1 and name]
    if twice:
        raise BenchError(f"two columns are called {twice[0]!r}. Rename or remove one.")


def _refuse_count(where: str, row: Sequence[tuple[str, bool]], names: Sequence[str]) -> NoReturn:
    shown = ",".join(cell for cell, _ in row)
    remedy = (
        "Put a text with commas in quotes, and end no line with a comma"
        if len(row) > len(names)
        else "Write every cell, empty ones too"
    )
    raise BenchError(
        f"{where}: {_cells(len(row))} where the header has {len(names)}: {shown[:80]}{'…' if len(shown) > 80 else ''}. "
        f"{remedy}."
    )


def _cells(count: int) -> str:
    return f"{count} cell{'' if count == 1 else 's'}"


def _check_comma_after(
    where: str, row: Sequence[tuple[str, bool]], names: Sequence[str], column: int, header: Sequence[tuple[str, bool]]
) -> None:
    """Refuse `a truck, on the grass` under `prompt,category`: as many cells as columns, but one text cut in two."""
    if column + 1 == len(names) or header[column + 1][0].startswith(" "):
        return
    (_, text_quoted), (after, after_quoted) = row[column], row[column + 1]
    if not text_quoted and not after_quoted and after.startswith(" ") and re.search(r"[^\W\d]", after):
        raise BenchError(
            f"{where}: {after!r} after an unquoted comma in {names[column + 1]!r} may be the rest of the "
            f"{names[column]}. Put the {names[column]} in quotes, or remove the space."
        )


def text_records(path: Path, column: str) -> list[Record]:
    """A text file's lines under this column, without the spaces around them; empty lines are left out."""
    found = enumerate(lines(read_text(path)), 1)
    return [Record(f"line {number}", {column: line.strip()}) for number, line in found if line.strip()]


def json_records(path: Path) -> list[Record]:
    """A file of one JSON object a line; empty lines are left out.

    Raises:
        BenchError: a line is no JSON object, names a key twice, or holds NaN; names the line.
    """
    records = []
    for number, line in enumerate(lines(read_text(path)), 1):
        if line.strip():
            try:
                cells = json.loads(line, object_pairs_hook=_once, parse_constant=_no_number)
            except (ValueError, RecursionError) as error:
                raise BenchError(f"line {number}: no JSON: {error}.") from None
            if not isinstance(cells, dict):
                raise BenchError(f"line {number}: {line[:40]!r} is no JSON object. JSON lines have one object a line.")
            records.append(Record(f"line {number}", cells))
    return records


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    twice = [name for name, times in Counter(name for name, _ in pairs).items() if times > 1]
    if twice:
        raise ValueError(f"the key {twice[0]!r} stands there twice")
    return dict(pairs)


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON number; leave the key out, or write null")


def parquet_records(path: Path) -> list[Record]:
    """A Parquet file's rows, from 1; NaN is a missing value, as pandas writes it."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(path).read()
        rows = table.to_pylist()
    except (pa.ArrowException, OSError, ValueError) as error:
        raise BenchError(f"can't be read as Parquet: {error}") from None
    _check_header(table.column_names)
    return [
        Record(f"row {k}", {name: None if value != value else value for name, value in row.items()})
        for k, row in enumerate(rows, 1)
    ]
