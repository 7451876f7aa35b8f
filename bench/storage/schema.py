"""Objects with a strict form: stored ones with a version of it, and settings with presets."""

from __future__ import annotations

from collections.abc import Mapping
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


Settings = TypeVar("Settings", bound=BaseModel)


def configured(
    kind: type[Settings],
    label: str,
    presets: Mapping[str, Mapping[str, Any]],
    family: str,
    concept: str,
    settings: Mapping[str, Any],
) -> Settings:
    """A configuration from its defaults, the presets that hold, and a plan's settings on top.

    Args:
        kind: the configuration's class.
        label: whose it is, for errors.
        presets: overrides of the defaults by kind of concept ("style"), by model family ("mini") and by both
            ("mini/style"), applied in this order.
        family: the model's.
        concept: the concept's kind.
        settings: a plan's own.

    Raises:
        BenchError: a setting is unknown or of a wrong type.
    """
    merged: dict[str, Any] = {}
    for name in (concept, family, f"{family}/{concept}"):
        merged |= presets.get(name, {})
    try:
        return kind(**{**merged, **settings})
    except ValidationError as error:
        allowed = ", ".join(f"{name} ({_shown(info.annotation)})" for name, info in kind.model_fields.items())
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        given = f", not {first['input']!r}" if first["type"] != "extra_forbidden" else ""
        message = first["msg"][0].lower() + first["msg"][1:]
        raise BenchError(
            f"{label}: setting {key!r} is wrong: {message}{given}. Allowed settings: {allowed or 'none'}."
        ) from None


def _shown(annotation: Any) -> str:
    return annotation.__name__ if isinstance(annotation, type) else str(annotation).replace("typing.", "")
