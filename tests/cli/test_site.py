"""The documents as a site: built without a warning, so without a broken link; whole, and readable without a network."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from erasebench.cli.app import app
from erasebench.runs.plan import Plan

pytest.importorskip("sphinx", reason="no Sphinx: pip install erasebench[docs]")
pytest.importorskip("furo", reason="no Furo: pip install erasebench[docs]")
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    to = tmp_path_factory.mktemp("site")
    built = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-c", "docs/site", ".", str(to / "html")]
    done = subprocess.run([*built, "-d", str(to / "read")], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return to / "html"


def test_every_document_is_a_page_that_another_leads_to(site: Path) -> None:
    index = (site / "docs/index.html").read_text(encoding="utf-8")
    for document in ROOT.glob("docs/*.md"):
        assert (site / "docs" / f"{document.stem}.html").exists(), document
        assert document.stem == "index" or f'href="{document.stem}.html"' in index, document


def test_every_command_option_and_plan_key_is_there(site: Path) -> None:
    pages = {name: (site / f"docs/{name}.html").read_text(encoding="utf-8") for name in ("commands", "plan")}
    root: object = typer.main.get_command(app)
    for name, command in root.commands.items():  # type: ignore[attr-defined]
        inner = getattr(command, "commands", {"": command})
        for part, one in inner.items():
            assert f">bench {name} {part}".strip() + "<" in pages["commands"], (name, part)
            flags = {flag for option in one.params if option.param_type_name == "option" for flag in option.opts}
            assert not [flag for flag in flags if flag not in pages["commands"]]
    assert not [key for key in Plan.model_fields if f">{key}<" not in pages["plan"]]
    assert "<td><p></p></td>\n</tr>" not in pages["plan"]  # a key that nothing is said of


def test_nothing_is_fetched_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        tags = re.findall(r"<(?:script|link|img|iframe)\b[^>]*>", page.read_text(encoding="utf-8"))
        assert not [tag for tag in tags if re.search(r"""(src|href)=["'](https?:)?//""", tag)], page
