"""Text files: UTF-8, read as it stands; a line ends at a newline and nowhere else."""

from __future__ import annotations

from pathlib import Path

from ..errors import BenchError

UTF16 = (b"\xff\xfe", b"\xfe\xff")


def read_text(path: Path) -> str:
    """A UTF-8 file's text, without a byte order mark; line ends stay what they are.

    Raises:
        BenchError: it can't be read, is no UTF-8, or holds a NUL; names the line. The caller says which file it is.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BenchError(f"can't be read: {error.strerror or error}") from None
    if content.startswith(UTF16):
        raise BenchError("is UTF-16 text. Save it as UTF-8.")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise BenchError(
            f"can't be read as UTF-8 text: line {line} has the byte 0x{content[error.start]:02x}. Save it as UTF-8."
        ) from None
    if "\0" in text:
        raise BenchError(f"can't be read as text: line {text.count(chr(10), 0, text.index(chr(0))) + 1} holds a NUL.")
    return text


def lines(text: str) -> list[str]:
    """A text's lines without their ends: a newline, or a carriage return and a newline.

    Unlike `str.splitlines`, which also breaks at U+2028, form feeds and others that may stand within a prompt.

    >>> lines("a\\u2028b\\r\\nc\\n")
    ['a\\u2028b', 'c']
    """
    *ended, rest = text.split("\n")
    return [line.removesuffix("\r") for line in ended] + ([rest] if rest else [])
