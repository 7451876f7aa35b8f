"""Stored objects with a strict form and a version of it."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from ..errors import BenchError


class Stored(BaseModel):
    """Base of what JSON files hold: frozen, and unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


Kind = TypeVar("Kind", bound=Stored)


def validated(kind: type[Kind], stored: dict[str, Any], version: int, where: str, otherwise: str) -> Kind:
    """The object that a file holds.

    Args:
        kind: its form, with a field `schema_version`.
        stored: the file's content.
        version: the schema version that is read.
        where: how errors call the file.
        otherwise: what to do about another version.

    Raises:
        BenchError: the content has another version or form.
    """
    found = stored.get("schema_version")
    if found != version:
        raise BenchError(
            f"{where} has the schema version {found}, not {version}: another version of erasebench wrote it. "
            f"{otherwise}"
        )
    return parsed(kind, stored, where)


def parsed(kind: type[Kind], stored: dict[str, Any], where: str, otherwise: str = "") -> Kind:
    """The object that a file holds, of a form without versions; arguments as for `validated`.

    Raises:
        BenchError: the content has another form.
    """
    try:
        return kind(**stored)
    except ValidationError as error:
        first = error.errors()[0]
        told = f"{where}: {'.'.join(map(str, first['loc']))}: {first['msg']}. {otherwise}"
        raise BenchError(told.rstrip()) from None
