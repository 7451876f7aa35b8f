"""Published tables: numbers as printed, with their source, in results/published/."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from ..models.families import Family
from .headings import Heading


@dataclass(frozen=True)
class PublishedColumn:
    """A column of a published table, and which metric measures it: `on_mini` where the embedded model needs another."""

    heading: Heading
    metric: str
    on_mini: str

    def measured_by(self, family: Family) -> str:
        """The metric for models of a family."""
        return self.on_mini if family.has_world else self.metric


@dataclass(frozen=True)
class PublishedTable:
    """A table as printed: columns by key, values by row and column key."""

    source: str
    columns: dict[str, PublishedColumn]
    rows: dict[str, dict[str, float | None]]
    notes: tuple[str, ...]


@cache
def published_table(name: str) -> PublishedTable:
    """A table of results/published/NAME.yaml."""
    content: dict[str, Any] = yaml.safe_load(
        (files("erasebench.results") / "published" / f"{name}.yaml").read_text(encoding="utf-8")
    )
    columns = {
        key: PublishedColumn(
            Heading(column["label"], column["better"], column["digits"]),
            column["metric"],
            column.get("on_mini", column["metric"]),
        )
        for key, column in content["columns"].items()
    }
    return PublishedTable(content["source"], columns, content["rows"], tuple(content["notes"]))
