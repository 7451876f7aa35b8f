"""What README and docs/ name exists: commands, their options, and the files that are linked."""

import re
from pathlib import Path
from typing import Any

import pytest
import typer

from erasebench.cli.app import app

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "results/README.md", *sorted(ROOT.glob("docs/*.md"))]


def code(text: str) -> list[str]:
    """Lines of code blocks, and what stands between backticks in the others."""
    blocks = re.findall(r"^ {4}(.*)$", text, re.MULTILINE)
    return [*blocks, *re.findall(r"`([^`\n]+)`", text)]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_commands_and_options_exist(document: Path) -> None:
    wrong = []
    for line in code(document.read_text()):
        for call in re.split(r"&&|;|#", line):
            words = call.split()
            if words[:1] != ["bench"]:
                continue
            command: Any = typer.main.get_command(app)
            words = words[1:]
            while words and hasattr(command, "commands") and words[0] in command.commands:
                command = command.commands[words.pop(0)]
            options = {name for option in command.params for name in (*option.opts, *option.secondary_opts)}
            unknown = [word for word in words if word.startswith("--") and word not in {*options, "--help"}]
            if unknown or (words and hasattr(command, "commands") and not words[0].startswith("--")):
                wrong.append(call.strip())
    assert wrong == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_linked_files_exist(document: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)", document.read_text())
    assert [link for link in links if "://" not in link and not (document.parent / link).exists()] == []


def test_the_readme_is_short_and_keeps_its_two_commands() -> None:
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 140
    assert "\n    pip install . && bench run --methods all --concept nudity\n" in text
    assert "\n    pip install tox && tox\n" in text
