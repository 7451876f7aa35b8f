"""Kinds of things as a tree, so that "related" has degrees: thing > vehicle > road > truck > garbage truck."""

from collections.abc import Iterable, Iterator
from functools import cache
from importlib.resources import files
from itertools import takewhile
from typing import Any

import yaml

from ..errors import BenchError

EVERYTHING = "thing"  # the root of the tree


@cache
def kinds() -> dict[str, tuple[str, ...]]:
    """Each thing's kinds from the widest to the narrowest, such as "garbage truck": ("vehicle", "road", "truck")."""
    tree = yaml.safe_load((files("erasebench.mini") / "kinds.yaml").read_text(encoding="utf-8"))
    return dict(_leaves(tree, ()))


def _leaves(node: Any, path: tuple[str, ...]) -> Iterator[tuple[str, tuple[str, ...]]]:
    if isinstance(node, list):
        yield from ((name, path) for name in node)
        return
    for kind, below in node.items():
        yield from _leaves(below, (*path, kind))


def bands(name: str, among: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Which of `among` are how closely related to a thing, itself left out.

    Returns:
        By the narrowest kind that they share with it, from the closest relatives to EVERYTHING, each in the order of
        `among`. For "garbage truck": {"truck": …, "road": …, "vehicle": …, "thing": …}; for "nudity": {"figure": people
        in full figure, "person": …, "thing": …}. A kind that none of them shares is left out.

    Raises:
        BenchError: the tree has no such thing.
    """
    mine = _kinds_of(name)
    found: dict[str, list[str]] = {kind: [] for kind in (*reversed(mine), EVERYTHING)}
    for other in among:
        if other != name:
            found[shared_kinds(name, other)[-1]].append(other)
    return {kind: tuple(names) for kind, names in found.items() if names}


def shared_kinds(one: str, other: str) -> tuple[str, ...]:
    """All kinds that two things have in common, EVERYTHING first and the narrowest last."""
    same = takewhile(lambda pair: pair[0] == pair[1], zip(_kinds_of(one), _kinds_of(other), strict=False))
    return (EVERYTHING, *(kind for kind, _ in same))


def _kinds_of(name: str) -> tuple[str, ...]:
    if name not in kinds():
        raise BenchError(f"no thing {name!r} in the tree of kinds (mini/kinds.yaml).")
    return kinds()[name]
