"""Examples in docstrings are true."""

import doctest
from importlib import import_module

import pytest

NAMES = ["store", "stats", "generate", "layout", "methods.time", "prompts.spelling", "textfiles"]


@pytest.mark.parametrize("name", NAMES)
def test_examples_hold(name: str) -> None:
    result = doctest.testmod(import_module(f"erasebench.{name}"))
    assert result.attempted > 0
    assert result.failed == 0
