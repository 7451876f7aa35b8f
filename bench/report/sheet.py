"""A table in its neutral form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

NONE = "—"
NOT_KNOWN = "not known"  # how the reason begins where there would be a value, but nobody here knows it


@dataclass(frozen=True)
class Cell:
    """One value as it is shown.

    Attributes:
        text: the value.
        place: 1 for bold, 2 for underlined.
        hint: a longer text.
        interval: its 95 % interval, such as "0.12 to 0.34"; "" for none.
    """

    text: str = NONE
    place: int = 0
    hint: str = ""
    interval: str = ""


@dataclass(frozen=True)
class Column:
    """A column's heading; neighbours of one `group` stand under a common heading."""

    label: str
    group: str = ""


@dataclass(frozen=True)
class Sheet:
    """A table: a caption, columns, sections of labelled rows with a rule between them, footnotes, a banner above."""

    caption: str
    columns: Sequence[Column]
    sections: Sequence[Sequence[tuple[str, Sequence[Cell]]]]
    notes: Sequence[str]
    banner: str = ""

    @property
    def rows(self) -> list[tuple[str, Sequence[Cell]]]:
        """All sections' rows."""
        return [row for section in self.sections for row in section]

    @property
    def groups(self) -> list[tuple[str, int]]:
        """Common headings with the number of columns under each; empty where no column has one."""
        found: list[tuple[str, int]] = []
        for column in self.columns:
            if found and column.group and found[-1][0] == column.group:
                found[-1] = (column.group, found[-1][1] + 1)
            else:
                found.append((column.group, 1))
        return found if any(group for group, _ in found) else []
