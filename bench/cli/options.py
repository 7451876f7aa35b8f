"""A command line whose options say one thing: one that takes one value is refused when it is given twice."""

from __future__ import annotations

from collections import Counter
from typing import Any

import typer
from typer.core import TyperCommand

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


class BenchApp(typer.Typer):
    """A typer application whose commands take each option once, unless the option is a list."""

    def command(self, *args: Any, **options: Any) -> Any:
        """As typer's own."""
        return super().command(*args, **{"cls": _OnceCommand, **options})
