"""The page: one file that needs no network, and whose content policy says so."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader
from markupsafe import Markup

from ...errors import BenchError
from ...runs.attacks import read_attacks
from ...runs.dominance import read_dominance
from ...runs.folder import RunFolder
from ...runs.purification import read_purified
from ...storage.files import write_text
from ..attack_rates import attack_rates
from ..attacks import detail_sheet, matrix
from ..concepts import concept_sheet
from ..dominance import rankings
from ..dominance import sheet as dominance_sheet
from ..formats import tex_text
from ..paper_table import PUBLISHED, compared, table1_sheet
from ..published import published_table
from ..purification import sheet as purification_sheet
from ..sheet import Sheet
from .against import MOST_VALUES, Against, tests_of
from .board import Board, board_of
from .drawn import Drawn, drawn_by
from .made import Chapter, how_it_was_made
from .opened import OpenRun, open_run
from .plots import Plots, plots_of
from .shown import ShownSet, Told, address, shown_pictures
from .summary import in_short
from .thumbnails import SIDE
from .visible import page_json, visible
from .words import words_of

SCRIPTS = ("nodes.js", "board.js", "pictures.js", "viewer.js", "words.js", "page.js")  # each names what is before it
TESTED_AT_ONCE = 5_000  # images in all pairs of rows: under a second at a run's end


@dataclass(frozen=True)
class RunView:
    """What a page shows of one run; `data` is for its script."""

    run: OpenRun
    board: Board
    short: list[str]
    plots: list[Plots]
    sheets: list[tuple[str, Sheet]]
    chapters: list[Chapter]
    sets: list[ShownSet]
    drawn: list[Drawn]
    data: str


def write_page(
    runs: Sequence[OpenRun],
    to: Path,
    budget: float = 12.0,
    link: bool = False,
    told: Told = lambda what, unit, done, total: None,
    tested: int = MOST_VALUES,
    is_beside: bool = False,
) -> Path:
    """Write a page of one run, or of several one below the other.

    Args:
        runs: what it is of.
        to: the file.
        budget: MB of pictures in the page; 0 for none.
        link: show the runs' own image files instead of copies; they have to stay where they are from the page.
        told: called with what is done ("pictures", "tests"), in which unit, how far, and how many there are.
        tested: how many images all pairs of rows of a run may have for paired tests to be made.
        is_beside: put small copies of all images in a folder beside the page, named after it.

    Raises:
        BenchError: the file's folder is not there.
    """
    if not to.absolute().parent.is_dir():
        raise BenchError(f"{to}: there is no folder {to.parent}. Make it, or choose another file.")
    here, copied = to.absolute().parent.resolve(), to.with_name(f"{to.stem}-images") if is_beside else None
    sets = shown_pictures(runs, here, budget, link, copied, told)
    tests = tests_of(runs, tested, told)
    views = [
        _view(run, address(run.folder.root, here) if link else None, budget / len(runs), own, against)
        for run, own, against in zip(runs, sets, tests, strict=True)
    ]
    write_text(to, render(" · ".join(run.name for run in runs), views, link))
    return to


def write_own_page(folder: RunFolder) -> Path:
    """A run's own page, report.html in its folder, with the images that lie beside it."""
    return write_page([open_run(folder.root)], folder.page, link=True, tested=TESTED_AT_ONCE)


def render(title: str, views: Sequence[RunView], link: bool) -> str:
    """The page's HTML; `link` where pictures that other commands drew are shown as files."""
    has_files = link or any(one.has_files for view in views for one in view.sets)
    return rendered("page.html.j2", has_files, title=title, views=views)


def rendered(template: str, link: bool, **content: Any) -> str:
    """A page's HTML with style, script and a content policy that allows nothing else; `link` for files beside it."""
    style, script = _asset("page.css"), _script()
    # Relative files: 'self' is what browsers call them when the page is served, file: when it is opened from a disk.
    images = "data: 'self' file:" if link else "data:"
    policy = (
        f"default-src 'none'; script-src '{_digest(script)}'; style-src '{_digest(style)}'; img-src {images}; "
        "base-uri 'none'; form-action 'none'"
    )
    given = {"policy": policy, "style": Markup(style), "script": Markup(script), **content}
    return _environment().get_template(template).render(given)


@cache
def _environment() -> Environment:
    found = Environment(
        loader=PackageLoader("erasebench.report.web"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: visible(value) if type(value) is str else value,  # not what is marked as HTML
    )
    found.filters["json"] = lambda value: Markup(page_json(value))
    return found


@cache
def _asset(name: str) -> str:
    return (files("erasebench.report.web") / "templates" / name).read_text(encoding="utf-8")


@cache
def _script() -> str:
    return '"use strict";\n(() => {\n' + "\n".join(map(_asset, SCRIPTS)) + "})();\n"


def _digest(text: str) -> str:
    """As a content policy names a script or style."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _view(run: OpenRun, linked: str | None, budget: float, sets: list[ShownSet], against: Against | None) -> RunView:
    """A run's part; `linked` is its folder's address where its own files are shown."""
    board = board_of(run)
    data = {
        "board": board_data(board),
        "against": against,
        "pixelated": run.plan.family.has_world,
        "side": SIDE,
        "sets": [one.data for one in sets],
        "words": words_of(run),
    }
    return RunView(
        run,
        board,
        in_short(run, board),
        plots_of(run),
        _sheets(run),
        how_it_was_made(run),
        sets,
        drawn_by(run, linked, budget),
        page_json(data),
    )


def board_data(board: Board) -> dict[str, Any]:
    """A leaderboard for the page's script."""
    rows = [
        {
            "key": row.key,
            "label": row.label,
            "kind": row.kind,
            "tex": row.tex,
            "markdown": row.markdown,
            "cells": [
                {
                    "text": cell.text,
                    "tex": tex_text(cell.text),
                    "value": cell.value,
                    "low": cell.low,
                    "high": cell.high,
                    "n": cell.n,
                    "best": cell.is_best,
                }
                for cell in row.cells
            ],
        }
        for row in board.rows
    ]
    columns = [asdict(column) for column in board.columns]
    return {"caption": board.caption, "columns": columns, "rows": rows, "tex": tex_text(board.caption)}


def _sheets(run: OpenRun) -> list[tuple[str, Sheet]]:
    """Tables under their headings: published beside measured, several concepts, attacks, purification, duels."""
    found: list[tuple[str, Sheet]] = []
    published = published_table(PUBLISHED)
    rows = [row for row in published.rows if row in run.record.rows]
    if "nudity" in run.plan.erased and any(row in run.methods for row in rows):
        numbers = compared(run.tabled, run.plan, published, rows, run.record.labels)
        table = table1_sheet(numbers, run.tabled, run.plan, published, run.record)
        found.append(("Measured beside published", table))
    if run.plan.concepts:
        found.append(("Each concept", concept_sheet(run.scores, run.plan, run.record.labels)))
    attacks = read_attacks(run.folder)
    if attacks is not None:
        rates = attack_rates(attacks)
        found.append(("Attacks", matrix(run.plan, attacks, rates)))
        found.append(("", detail_sheet(run.plan, attacks, rates)))
    purified = read_purified(run.folder)
    if purified is not None:
        found.append(("Purification of real images", purification_sheet(run.plan, purified)))
    duels = read_dominance(run.folder)
    if duels is not None:
        found.append(("Which of two concepts wins", dominance_sheet(run.plan, duels, rankings(duels))))
    return found
