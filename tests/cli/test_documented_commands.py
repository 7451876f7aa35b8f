"""The commands that stand in the documents' blocks: cheap ones are run, `bench run` up to its plan, others are read."""

import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
import typer
from stored_run import stored_run
from test_documents import DOCUMENTS, ROOT
from typer.testing import CliRunner

from erasebench.cli.app import app

RUN_HERE = ("list", "show", "report", "entry", "leaderboard", "table", "compare", "new")
STANDS_FOR = {
    **{"RUN": "run", "RUN_A": "run", "RUN_B": "run2", "RUN2": "run2", "RUN/report.html": "run/report.html"},
    **{"A": "esd", "B": "uce", "ours": "esd", "my-method,esd": "uce,esd", "concept_rate,my_metric": "concept_rate"},
}


def commands(text: str) -> list[list[str]]:
    """The words of each `bench` command in a block, indented or fenced, behind comments and `&&`."""
    blocks = re.findall(r"^ {4,8}(?=\S)(.*)$", text, re.MULTILINE)
    for fenced in re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        blocks += fenced.split("\n")
    calls = [call for line in blocks if "bench " in line for call in line.partition("#")[0].split("&&")]
    return [words for call in calls if (words := shlex.split(call, posix=True))[:1] == ["bench"]]


DOCUMENTED = [
    pytest.param(words, id=f"{document.name}: {' '.join(words)}")
    for document in DOCUMENTS
    for words in commands(document.read_text())
]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the documents' commands name: two runs, files of prompts, plans and weights."""
    folder = tmp_path_factory.mktemp("documents")
    for name in ("run", "run2"):
        stored_run(folder / name, prompts=2)
    for plan in ("my-plan.yaml", "plan.yaml"):
        shutil.copy(ROOT / "bench/plans/ci.yaml", folder / plan)
    for run, file in (("run", "mine"), ("run2", "theirs")):
        made = CliRunner().invoke(
            app, ["entry", str(folder / run), "--to", str(folder / f"{file}.json"), "--name", file]
        )
        assert made.exit_code == 0
    return folder


def test_documents_have_commands() -> None:
    assert len(DOCUMENTED) > 80
    assert {*RUN_HERE, "run", "attack", "export", "publish", "store"} <= {param.values[0][1] for param in DOCUMENTED}


@pytest.mark.parametrize("words", DOCUMENTED)
def test_a_cheap_command_runs_and_a_costly_one_is_read(
    words: list[str], place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On stored runs, without a model: of `bench run` the plan is made, of what else is costly the options are read."""
    monkeypatch.chdir(tmp_path if words[1] == "new" else place)
    monkeypatch.setattr("erasebench.models.hardware.check_device", lambda wanted: wanted)
    monkeypatch.setattr("erasebench.cli.run.execute", lambda *plan: (None, ()))
    given = [STANDS_FOR.get(word, word) for word in words[1:]]
    if given[0] == "attack":
        given[1] = "run"  # whatever the document calls it
    if given[0] in (*RUN_HERE, "run"):
        done = CliRunner().invoke(app, given)
        assert done.exit_code == 0, f"{done.output}{done.exception}"
        return
    command: Any = typer.main.get_command(app)
    while hasattr(command, "commands"):
        command = command.commands[given.pop(0)]
    command.make_context(words[1], given)
