"""A command line whose options say one thing (one that takes one value is refused when it is given twice), and whose
help lists the commands by what they are for."""

from __future__ import annotations

from collections import Counter
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from ..errors import BenchError


class _OnceCommand(TyperCommand):
    """A command that counts how often each option is given, where the parser alone would take the last."""

    def make_parser(self, ctx: Any) -> Any:
        parser: Any = super().make_parser(ctx)
        parse = parser.parse_args

        def parse_once(args: list[str]) -> Any:
            values, rest, order = parse(args=args)
            for option, times in Counter(order).items():
                if times > 1 and not option.multiple and option.param_type_name == "option":
                    name = max(option.opts, key=len)
                    raise BenchError(
                        f"{name} is given {'twice' if times == 2 else f'{times} times'}, and takes one value. Give it "
                        "once; where it takes several names, put commas between them."
                    )
            return values, rest, order

        parser.parse_args = parse_once
        return parser


class _GroupedHelp(TyperGroup):
    """Commands under the heading that each was registered with (`rich_help_panel`), in plain text.

    Typer itself has headings only with rich, whose import takes longer than the rest of `bench --help`.
    """

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write a section a heading, in the order of the commands, with whole first sentences in one column."""
        shown = {name: command for name in self.list_commands(ctx) if (command := self.get_command(ctx, name))}
        width = max(map(len, shown))
        sections: dict[str, list[tuple[str, str]]] = {}
        for name, command in shown.items():
            heading = str(getattr(command, "rich_help_panel", None) or "Commands")
            sections.setdefault(heading, []).append((name.ljust(width), command.get_short_help_str(limit=1000)))
        for heading, rows in sections.items():
            with formatter.section(heading):
                formatter.write_dl(rows)


class BenchApp(typer.Typer):
    """A typer application whose commands take each option once, unless the option is a list; its help has headings."""

    def __init__(self, **options: Any) -> None:
        super().__init__(cls=_GroupedHelp, **options)

    def command(self, *args: Any, **options: Any) -> Any:
        """As typer's own."""
        return super().command(*args, **{"cls": _OnceCommand, **options})
