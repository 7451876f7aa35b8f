"""What the code says of itself: every command with its options, and every key of a plan, as Markdown."""

import inspect
import re
from collections.abc import Iterator
from typing import Any

import typer
from docutils import nodes
from pydantic import BaseModel
from sphinx.util.docutils import SphinxDirective

from erasebench.cli.app import app
from erasebench.runs.plan import Plan


class Commands(SphinxDirective):
    """Every command, under the headings of `bench --help`."""

    def run(self) -> list[nodes.Node]:
        """The parsed sections."""
        return self.parse_text_to_nodes(commands(), allow_section_headings=True)


class PlanKeys(SphinxDirective):
    """Every key of a plan, a table for each part of it."""

    def run(self) -> list[nodes.Node]:
        """The parsed sections."""
        return self.parse_text_to_nodes(plan_keys(), allow_section_headings=True)


def commands() -> str:
    """Markdown of all commands."""
    root: Any = typer.main.get_command(app)
    by_heading: dict[str, list[str]] = {}
    for name, command in root.commands.items():
        heading = str(getattr(command, "rich_help_panel", None) or "Commands")
        by_heading.setdefault(heading, []).extend(_command(f"bench {name}", command))
    return "\n".join(line for heading, lines in by_heading.items() for line in (f"## {heading}", "", *lines))


def _command(name: str, command: Any) -> Iterator[str]:
    """A command's section, or those of a group's commands."""
    if hasattr(command, "commands"):
        for inner, one in command.commands.items():
            yield from _command(f"{name} {inner}", one)
        return
    context = command.make_context(name, [], resilient_parsing=True)
    yield from (f"### {name}", "", f"`{context.get_usage().removeprefix('Usage: ')}`", "")
    for paragraph in inspect.cleandoc(command.help or "").split("\n\n"):
        text = " ".join(paragraph.split())
        example = text.removeprefix("Example: ")
        yield from (f"    {example}", "") if example != text else (_escaped(text), "")
    records = [record for one in command.params if (record := one.get_help_record(context)) is not None]
    if records:
        yield from _table(("", ""), [(f"`{' '.join(term.split())}`", _escaped(text)) for term, text in records])


def plan_keys() -> str:
    """Markdown of all keys of a plan."""
    schema = Plan.model_json_schema()
    parts = {"Plan": Plan, **_parts(Plan)}
    lines: list[str] = []
    for name, model in parts.items():
        described = schema if name == "Plan" else schema["$defs"][name]
        texts, required = _attributes(model), described.get("required", [])
        rows = [
            (
                f"`{key}`",
                _type(field),
                "required" if key in required else _shown(field.get("default")),
                texts.get(key, ""),
            )
            for key, field in described["properties"].items()
        ]
        summary = inspect.getdoc(model) or ""
        lines += [
            f"## {name}",
            "",
            _escaped(summary.partition("\n\n")[0]),
            "",
            *_table(("key", "", "default", ""), rows),
        ]
    return "\n".join(lines)


def _parts(model: Any) -> dict[str, Any]:
    """The models that a model's keys hold, by name."""
    found: dict[str, Any] = {}
    for field in model.model_fields.values():
        for one in _models_in(field.annotation):
            found |= {one.__name__: one, **_parts(one)}
    return found


def _models_in(annotation: Any) -> Iterator[Any]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in getattr(annotation, "__args__", ()):
        yield from _models_in(inner)


def _attributes(model: Any) -> dict[str, str]:
    """What a docstring says of each key."""
    _, _, listed = (inspect.getdoc(model) or "").partition("Attributes:\n")
    entries = re.split(r"\n {4}(?=\S)", "\n" + inspect.cleandoc(" " * 4 + listed).replace("\n", "\n    "))
    found = (entry.partition(":") for entry in entries)
    return {name.strip(): _escaped(" ".join(text.split())) for name, _, text in found}


def _type(field: dict[str, Any]) -> str:
    """What a key takes, in words."""
    if "$ref" in field:
        return f"{field['$ref'].rpartition('/')[2]}"
    if "enum" in field or "const" in field:
        return ", ".join(f"`{value}`" for value in field.get("enum", [field.get("const")]))
    if "anyOf" in field:
        return " or ".join(dict.fromkeys(_type(one) for one in field["anyOf"]))
    if "allOf" in field:
        return _type(field["allOf"][0])
    kind = field.get("type", "anything")
    if kind == "array":
        return f"list of {_type(field.get('items', {}))}"
    if kind == "object":
        inner = field.get("additionalProperties")
        return f"names to {_type(inner)}" if isinstance(inner, dict) else "names to values"
    limits = [f"{sign} {field[key]:g}" for key, sign in LIMITS.items() if key in field]
    return " ".join([WORDS.get(kind, kind), *limits])


LIMITS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
WORDS = {"string": "text", "integer": "whole number", "boolean": "true or false", "null": "nothing"}


def _shown(value: Any) -> str:
    return "" if value in (None, [], {}) or isinstance(value, dict) else f"`{value}`"


def _table(heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(heads)} |"
    yield "|" + "---|" * len(heads)
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', '&#124;') for cell in row)} |"
    yield ""


def _escaped(text: str) -> str:
    """Text that Markdown leaves as it is, but for code between backticks."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(one if one.startswith("`") else re.sub(r"([\\*_<\[])", r"\\\1", one) for one in parts)
