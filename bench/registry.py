"""Finds methods, metrics and attacks: a file in their folder, or an entry point of another package.

Names and summaries are read from the source text, so that listing imports neither torch nor any method.
"""

import ast
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import Any

from .errors import BenchError, told, unknown

NAME = r"[a-z0-9][a-z0-9_-]{0,63}"


@dataclass(frozen=True)
class Entry:
    """One registered function.

    Attributes:
        name: how plans call it.
        summary: its docstring's first line.
        target: where it lives, "module:attribute".
        aliases: other names for it.
        facts: what else its decorator says in plain values, such as label, better and prompts.
        package: the package that it comes from, where that is another one.
    """

    name: str
    summary: str
    target: str
    aliases: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    package: str = ""


class Registry:
    """The functions with a decorator of this kind ("method", "metric" or "attack")."""

    def __init__(
        self,
        kind: str,
        first: tuple[str, ...] = (),
        dear: tuple[str, ...] = (),
        groups: Mapping[str, tuple[str, ...]] | None = None,
    ) -> None:
        self.kind = kind
        self.first = first
        self.groups = groups or {}  # several under one name
        self.dear = {*dear, *chain.from_iterable(self.groups.values())}  # what "all" does not mean
        self.package = f"erasebench.{kind}s"

    @cache  # noqa: B019  (the registries live as long as the process)
    def entries(self) -> dict[str, Entry]:
        """All entries by name, those of this package first."""
        found: dict[str, Entry] = {}
        for entry in [*self._built_in(), *self._plugged_in()]:
            if not re.fullmatch(NAME, entry.name):
                raise BenchError(
                    f"the {self.kind} {entry.name!r} ({entry.target}) has a name that can't name files: lower-case "
                    "letters, digits, dashes and underscores are allowed. Rename its entry point, or uninstall it."
                )
            if entry.name in found:
                raise BenchError(
                    f"two {self.kind}s are called {entry.name!r}: {found[entry.name].target} and {entry.target}. "
                    "Rename one of them, or uninstall its package."
                )
            found[entry.name] = entry
        return found

    def names(self) -> list[str]:
        """All names: the ones that tables show first, then the others by file."""
        entries = self.entries()
        return [name for name in self.first if name in entries] + [name for name in entries if name not in self.first]

    def usual(self) -> list[str]:
        """All names but those that are asked for by name alone: "all" does not mean them."""
        return [name for name in self.names() if name not in self.dear]

    def aliases(self) -> dict[str, str]:
        """Registered names by their aliases."""
        return {alias: entry.name for entry in self.entries().values() for alias in entry.aliases}

    def check(self, name: str) -> str:
        """The registered name for a name or an alias, or raise with the nearest names."""
        aliases = self.aliases()
        name = aliases.get(name, name)
        if name not in self.entries():
            raise unknown(self.kind, name, [*self.names(), *aliases, *self.groups], f"bench list {self.kind}s")
        return name

    def load(self, name: str) -> Any:
        """Import and return the entry's object.

        Raises:
            BenchError: there is no such name, or what it stands for can't be imported or is none of this kind.
        """
        name = self.check(name)
        target = self.entries()[name].target
        module, _, attribute = target.partition(":")
        try:
            found = getattr(import_module(module), attribute)
        except Exception as error:  # whatever a module of somebody else's raises
            raise BenchError(
                f"the {self.kind} {name!r} can't be loaded from {target}: {told(error)}. Mend it, or uninstall its "
                "package."
            ) from error
        if type(found).__name__ != self.kind.capitalize():
            raise BenchError(
                f"the {self.kind} {name!r}: {target} is {found!r}, not registered: put @{self.kind}(…) above the "
                "function."
            )
        return found

    def _built_in(self) -> Iterator[Entry]:
        spec = find_spec(self.package)
        folders = spec.submodule_search_locations if spec else None
        for folder in folders or ():
            for file in sorted(Path(folder).glob("[a-z]*.py")):
                yield from self._in_source(file, f"{self.package}.{file.stem}")

    def _in_source(self, file: Path, module: str) -> Iterator[Entry]:
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if not isinstance(node, ast.FunctionDef):
                continue
            for decorator in node.decorator_list:
                called = decorator.func if isinstance(decorator, ast.Call) else decorator
                if isinstance(called, ast.Name) and called.id == self.kind:
                    summary = (ast.get_docstring(node) or "").split("\n")[0]
                    facts = _facts(decorator)
                    aliases = tuple(facts.pop("aliases", ()))
                    yield Entry(self.public(node.name), summary, f"{module}:{node.name}", aliases, facts)

    def _plugged_in(self) -> Iterator[Entry]:
        for point in entry_points(group=self.package):
            package = point.dist.name if point.dist else point.module
            target = f"{point.module}:{point.attr}"
            found = (entry for entry in self._in_module(point.module) if entry.target == target)
            plain = Entry(self.public(point.name), "", target)
            yield replace(next(found, plain), name=plain.name, aliases=(), package=package)

    def _in_module(self, module: str) -> Iterator[Entry]:
        """What a plug-in's source says, without importing it; nothing where its source can't be found or read."""
        try:
            spec = find_spec(module)
            if spec is not None and spec.origin is not None and spec.origin.endswith(".py"):
                yield from self._in_source(Path(spec.origin), module)
        except (ImportError, ValueError, OSError, SyntaxError):  # loading it says what is wrong
            return

    def public(self, name: str) -> str:
        """How plans call a function of this name."""
        return name.replace("_", "-") if self.kind != "metric" else name


def _facts(decorator: ast.expr) -> dict[str, Any]:
    """The decorator's keywords whose values are written out."""
    found = {}
    for keyword in decorator.keywords if isinstance(decorator, ast.Call) else []:
        with suppress(ValueError):
            found[str(keyword.arg)] = ast.literal_eval(keyword.value)
    return found


# The methods of the two papers' tables: what `all` means. `every` is all that can be a row.
PAPERS = ("all-but-one", "esd", "sdd", "ablating", "forget-me-not", "adversarial-preservation")
METHODS = Registry("method", first=PAPERS)


def every_method() -> list[str]:
    """All that can be a row of its own."""
    return [name for name in METHODS.names() if not METHODS.entries()[name].facts.get("beside_weights")]


# Other numbers of this field's papers, as `papers` means them, in the tables' order.
OF_PAPERS = (
    "lpips_erased",
    "lpips_others",
    "psnr",
    "ms_ssim",
    "cmmd",
    "ua",
    "ira",
    "cra",
    "esr_1",
    "esr_5",
    "psr_1",
    "psr_5",
    "mace_h",
    "err",
    "in_prompt_clip",
    "related_rate",
)
METRICS = Registry(
    "metric",
    first=("concept_rate", "nudenet_rate", "nudenet_confidence", "fid", "kid", "clip_score", "ssim", *OF_PAPERS),
    dear=("spectrum", "diversity"),
    groups={"papers": OF_PAPERS},
)
ATTACKS = Registry("attack", first=("random-tokens", "seed-search"))
