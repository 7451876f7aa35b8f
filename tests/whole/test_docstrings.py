"""Examples in docstrings are true, in every room."""

import doctest
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages

import pytest

import erasebench


def _with_examples() -> list[str]:
    """The modules whose source holds an example."""
    found = []
    for module in walk_packages(erasebench.__path__, "erasebench."):
        spec = module.module_finder.find_spec(module.name, None)  # type: ignore[call-arg]
        if spec and spec.origin and ">>>" in Path(spec.origin).read_text(encoding="utf-8"):
            found.append(module.name)
    return found


@pytest.mark.parametrize("name", _with_examples())
def test_examples_hold(name: str) -> None:
    result = doctest.testmod(import_module(name))
    assert result.attempted > 0
    assert result.failed == 0


def test_every_kind_of_module_has_examples() -> None:
    assert len(_with_examples()) >= 7
