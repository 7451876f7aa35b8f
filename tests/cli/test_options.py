"""Options that take one value are given once, in every command and in every file."""

from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from erasebench.cli.app import app
from erasebench.cli.options import _OnceCommand
from erasebench.errors import BenchError
from erasebench.runs.plan_file import load_plan


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("run --concept cat --concept dog", "--concept is given twice, and takes one value"),
        ("run --methods esd --methods=uce", "put commas between them"),
        ("run --own-settings --no-own-settings", "--own-settings is given twice"),
        ("speed generation --images 2 --images 3 --images 2", "--images is given 3 times"),
        ("mini evaluate --images 9 --images 10", "--images is given twice"),
        ("drift RUN --baseline a --baseline b", "--baseline is given twice"),
        ("run --prompts concept=a --prompts concept=b", "--prompts: concept is both a and b"),
        ("run --set esd.lr=1 --set esd.lr=2", "--set: esd.lr is both 1 and 2"),
    ],
)
def test_what_takes_one_value_is_given_once(arguments: str, message: str) -> None:
    with pytest.raises(BenchError, match=message):
        app(arguments.split(), standalone_mode=False)


def test_every_command_counts_its_options() -> None:
    def commands(group: Any) -> list[Any]:
        inner = getattr(group, "commands", None)
        return [group] if inner is None else [one for command in inner.values() for one in commands(command)]

    found = commands(typer.main.get_command(app))
    assert len(found) > 20
    assert [command.name for command in found if not isinstance(command, _OnceCommand)] == []


def test_help_has_headings_and_a_line_a_command_in_80_columns() -> None:
    text = CliRunner().invoke(app, ["--help"], terminal_width=78).output
    sections = [section.splitlines() for section in text.split("\n\n")[-5:]]
    listed = {heading: [line.split()[0] for line in lines] for heading, *lines in sections}
    assert listed == {
        "Run:": ["run", "list", "reference", "learn", "table1", "spectrum", "attack", "purify", "dominance", "impact"],
        "Read:": [
            "show",
            "report",
            "entry",
            "leaderboard",
            "table",
            "compare",
            "nudenet",
            "export",
            "publish",
            "store",
        ],
        "Check:": ["diff", "baseline", "drift"],
        "Extend:": ["new", "check", "tune"],
        "Develop:": ["stress", "remake", "speed", "mini"],
    }
    assert max(map(len, text.splitlines())) <= 78


@pytest.mark.parametrize("group", ["speed", "mini"])
def test_a_command_without_a_heading_is_listed_as_a_command(group: str) -> None:
    text = CliRunner().invoke(app, [group, "--help"], terminal_width=78).output
    commands = text.split("Commands:\n")[1].splitlines()
    assert [line.split()[0] for line in commands] == list(typer.main.get_command(app).commands[group].commands)  # type: ignore[attr-defined]


def test_lists_may_be_given_more_than_once(tmp_path: Path) -> None:
    arguments = ["run", "--prompts", "concept=direct", "--prompts", "objects=related", "--kind", "none"]
    with pytest.raises(BenchError, match="--kind none"):
        app(arguments, standalone_mode=False)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("concept: cat\nimages: 3\nconcept: dog\n", 3),
        ("generation:\n  steps: 3\n  steps: 4\n", 3),
        ("variants: {a: {method: esd}, a: {method: uce}}\n", 1),
        ("a: &a [*a, {b: 1, b: 2}]\n", 1),
    ],
)
def test_a_plan_names_a_key_once(tmp_path: Path, text: str, line: int) -> None:
    (tmp_path / "plan.yaml").write_text(text)
    with pytest.raises(BenchError, match=rf"plan.yaml, line {line}: .* stands there twice"):
        load_plan(str(tmp_path / "plan.yaml"), {})
