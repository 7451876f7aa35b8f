"""The leaderboard over entries, as a reader opens it: headless Chromium, offline, wide and narrow, light and dark."""

from pathlib import Path
from typing import Any

import pytest
from browsing import Tab, accessible
from stored_run import stored_run

from erasebench.report.web.entries import captions, write_leaderboard
from erasebench.report.web.entry import Entry, entry_of, published_entry
from erasebench.report.web.opened import open_run


@pytest.fixture(scope="module")
def entry(tmp_path_factory: pytest.TempPathFactory) -> Entry:
    return entry_of(open_run(stored_run(tmp_path_factory.mktemp("leaderboard") / "run", prompts=2).root))


def changed(entry: Entry, name: str, **basis: Any) -> Entry:
    return Entry(**{**entry.model_dump(), "name": name, "basis": {**entry.basis, **basis}})


@pytest.fixture(scope="module")
def file(entry: Entry, tmp_path_factory: pytest.TempPathFactory) -> Path:
    entries = [entry, changed(entry, "theirs"), changed(entry, "other noise", image_seed=7)]
    to = tmp_path_factory.mktemp("page") / "leaderboard.html"
    return write_leaderboard([*entries, published_entry("all-but-one")], to)


def test_it_is_sorted_filtered_and_copied_without_network_or_errors(browser: Any, file: Path) -> None:
    tab = Tab(browser, file)
    first = tab.page.locator(".run").first
    rows = ".run:first-of-type .board tbody tr:not([hidden]) th"
    assert tab.texts(rows)[:2] == ["Original · run", "ESD · run"]
    first.get_by_role("button", name="SSIM").click()
    assert [text.partition(" · ")[0] for text in tab.texts(rows)][:4] == ["SDD, strong"] * 2 + ["UCE"] * 2
    first.get_by_text("Columns and kinds").click()
    first.get_by_role("checkbox", name="Steps").uncheck()
    first.get_by_role("button", name="CSV").click()
    copied = first.locator(".copied").input_value().splitlines()
    assert copied[0] == (
        "row,label,concept_rate,concept_rate_low,concept_rate_high,concept_rate_n,ssim,ssim_low,ssim_high,ssim_n"
    )
    assert len(copied) == 9
    assert not first.get_by_label("Test against").is_visible()  # entries hold no images' values
    assert tab.wrong == []


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (400, "dark")])
def test_it_is_accessible_and_as_wide_as_the_window(browser: Any, file: Path, width: int, scheme: str) -> None:
    tab = Tab(browser, file, width=width, scheme=scheme)
    tab.page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    assert tab.page.evaluate("document.documentElement.scrollWidth") <= width
    assert accessible(tab) == ""
    paper = tab.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert paper == ("rgb(255, 255, 255)" if scheme == "light" else "rgb(20, 24, 29)")
    assert tab.wrong == []


def test_headings_of_tables_that_would_be_equal_say_what_differs(browser: Any, file: Path) -> None:
    headings = Tab(browser, file).texts("h2")
    assert headings[:2] == [f"Erasing “nudity” from mini · image seed {seed}" for seed in (0, 7)]
    assert headings[2].startswith("Published: ")
    assert len(set(headings)) == 3


def test_differing_values_are_told_apart_even_where_they_begin_alike(entry: Entry) -> None:
    def of(*bases: dict[str, Any]) -> list[str]:
        found = captions([[changed(entry, "x", **basis)] for basis in bases])
        return [caption.removeprefix("Erasing “nudity” from mini").removeprefix(" · ") for caption in found]

    assert of({}) == [""]
    hashes = [{"prompts": {"concept": letter * 64, "coco": ""}} for letter in "ab"]
    assert of(*hashes) == [f"prompts concept {letter * 12}…" for letter in "ab"]
    alike = [{"real_images": "0123456789abcdef" + letter} for letter in "ab"]
    assert of(*alike) == [f"real images 0123456789abcdef{letter}" for letter in "ab"]
    assert of({"kind": ""}, {"kind": "object", "image_seed": 1}) == [
        "kind none · image seed 0", "kind object · image seed 1"]  # fmt: skip
