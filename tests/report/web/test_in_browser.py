"""The page as a reader uses it, in headless Chromium, offline; skipped where there is none.

`apt-get install chromium` and `pip install erasebench[web]` bring what these tests need.
"""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from browsing import Tab, accessible
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from stored_run import stored_run, stored_spectrum

from erasebench.report.web.opened import open_run
from erasebench.report.web.page import write_own_page, write_page
from erasebench.report.web.visible import page_json, visible

FRAGMENTS = [
    *("</script>", "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "<svg onload=alert(1)>", "</style>"),
    *("<!--", "]]>", "&#60;b>", "{{7*7}}", "`${alert(1)}`", "javascript:alert(1)", '"', "'", "__proto__", "../../"),
    *("\u202e", "\u2066", "\x00", "\x1b[2J", "\n\n", "é\u0301" * 30, "W" * 200),
]
HOSTILE = "</script><img src=x onerror=alert(1)>\"'&\u202e<svg/onload=alert(2)>" + "W" * 300


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = stored_run(tmp_path_factory.mktemp("browser") / "run")
    stored_spectrum(folder, ["truck", "tree"])
    Image.new("RGB", (900, 90), "red").save(folder.root / "strips.png")
    return write_page([open_run(folder.root)], folder.root.parent / "report.html")


def test_a_reader_sorts_filters_tests_and_copies(browser: Any, file: Path) -> None:
    tab = Tab(browser, file)
    page, rows = tab.page, ".board tbody tr:not([hidden]) th"
    assert tab.texts(rows) == ["Original", "ESD", "UCE", "SDD, strong"]
    page.get_by_role("button", name="SSIM").click()
    assert tab.texts(rows) == ["Original", "SDD, strong", "UCE", "ESD"]
    assert page.locator(".board th[aria-sort=descending]").inner_text().startswith("SSIM")
    page.get_by_text("Columns and kinds").click()
    page.get_by_role("checkbox", name="Steps").uncheck()
    page.get_by_label("closed form").uncheck()
    assert tab.texts(rows) == ["Original", "SDD, strong", "ESD"]
    page.get_by_label("Test against").select_option("original")
    assert any(", p " in text for text in tab.texts(".test"))
    assert "Differences to Original" in page.locator(".said").inner_text()
    page.get_by_role("button", name="LaTeX").click()
    copied = page.locator(".copied").input_value()
    assert copied.count(r"\\") == 4
    assert "UCE" not in copied
    assert "Steps" not in copied
    page.get_by_role("button", name="CSV").click()
    assert page.locator(".copied").input_value().splitlines()[0] == (
        "row,label,concept_rate,concept_rate_low,concept_rate_high,concept_rate_n,ssim,ssim_low,ssim_high,ssim_n"
    )
    assert tab.wrong == []


def test_pictures_are_sorted_found_enlarged_and_stepped_through(browser: Any, file: Path) -> None:
    tab = Tab(browser, file)
    page = tab.page
    assert page.locator(".prompt").count() == 6
    assert page.evaluate("[...document.querySelectorAll('.prompt img')].every(i => i.complete && i.naturalWidth)")
    page.get_by_label("Sort by").select_option("concept_rate")
    assert tab.texts(".prompt h4")[0].startswith("a prompt concept-4")
    page.get_by_label("only where a row leaks").check()
    assert page.locator(".prompt").count() == 4
    page.get_by_label("Find").first.fill("concept-5")
    assert page.locator(".prompt").count() == 1
    page.locator(".prompt button").nth(1).click()
    title = page.locator("dialog figure:first-child figcaption")
    assert title.inner_text() == "ESD"
    page.keyboard.press("ArrowRight")
    assert title.inner_text() == "UCE"
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    assert title.inner_text() == "Original"
    page.keyboard.press("Escape")
    assert not page.locator("dialog").is_visible()
    page.get_by_label("Find").first.fill("")
    page.get_by_label("Prompts").select_option("1")
    page.get_by_role("combobox", name="Training").select_option("1")
    assert "SSIM" in tab.texts(".prompt figcaption")[1]
    assert tab.wrong == []


def test_a_word_of_the_spectrum_is_found(browser: Any, tmp_path: Path) -> None:
    folder = stored_run(tmp_path / "run", prompts=1)
    stored_spectrum(folder, ["truck", HOSTILE, "tree house", "tree"])
    tab = Tab(browser, write_page([open_run(folder.root)], tmp_path / "report.html"))
    assert "nudity · erased" in tab.texts(".word-table th")
    tab.page.locator(".word").fill("tree")
    assert tab.texts(".word-table tbody th") == ["tree", "tree house"]
    assert tab.texts(".word-table tbody td")[0] == "-0.250 (rank 4)"
    assert tab.page.locator(".histograms svg").count() == 2
    assert tab.page.locator(".mark.found").count() == 2 * 2
    assert "tree -0.250, tree house -0.333" in (
        tab.page.locator(".histograms svg").first.get_attribute("aria-label") or ""
    )
    tab.page.locator(".word").fill("onerror")
    assert len(tab.texts(".word-table tbody th")) == 1
    assert tab.wrong == []


@pytest.mark.parametrize("width", [400, 1200])
def test_hostile_texts_neither_run_nor_break_the_layout(browser: Any, tmp_path: Path, width: int) -> None:
    folder = stored_run(tmp_path / "run", hostile=HOSTILE)
    tab = Tab(browser, write_page([open_run(folder.root)], tmp_path / "report.html"), width)
    tab.page.locator(".prompt button").nth(1).click()
    tab.page.wait_for_timeout(100)
    assert tab.wrong == []
    assert tab.page.evaluate("document.documentElement.scrollWidth") <= width
    assert tab.page.locator(".prompt").count() == 6


@settings(max_examples=6, deadline=None, derandomize=True, database=None)
@given(st.lists(st.sampled_from(FRAGMENTS) | st.text(max_size=12), min_size=1, max_size=7).map("".join).filter(bool))
def test_any_text_stays_text(browser: Any, tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    folder = stored_run(tmp_path_factory.mktemp("any") / "run", prompts=2, hostile=text)
    stored_spectrum(folder, [text, "tree"])
    file = write_page([open_run(folder.root)], folder.root.parent / "report.html")
    tab = Tab(browser, file, width=700)
    tab.page.locator(".prompt button").nth(1).click()
    title = tab.page.locator("dialog h2").text_content() or ""
    assert title.rstrip() == f"{visible(text)} concept-0".rstrip()
    assert tab.page.evaluate("document.documentElement.scrollWidth") <= 700
    assert tab.page.locator(".prompt").count() == 2
    assert tab.page.locator("script").count() == 2
    assert tab.wrong == []
    tab.page.context.close()


def test_a_page_of_20000_images_scrolls_to_its_end(browser: Any, file: Path, tmp_path: Path) -> None:
    """The page of a small run, whose pictures are repeated."""
    html = file.read_text(encoding="utf-8")
    (data,) = re.findall(r'class="data">(.*?)</script>', html)
    found = json.loads(data)
    (one, *_), count = found["sets"], 1000
    row = one["rows"][0]
    one["prompts"] = [{**one["prompts"][0], "id": f"p-{k}", "text": f"prompt {k}"} for k in range(count)]
    values = {name: [1] * count for name in row["values"]}
    one["rows"] = [
        {**row, "key": f"row-{k}", "label": f"Row {k}", "images": row["images"][:1] * count, "values": values}
        for k in range(20)
    ]
    large = tmp_path / "large.html"
    large.write_text(html.replace(data, page_json({**found, "sets": [{**one, "size": count}]})), encoding="utf-8")
    tab = Tab(browser, large)
    end = """() => { document.querySelector('.next').scrollIntoView();
                     return document.querySelectorAll('.prompt').length === 1000; }"""
    tab.page.wait_for_function(end, polling=50, timeout=60_000)
    assert tab.page.locator(".prompt img").count() == 20_000
    tab.page.locator(".prompt").last.scroll_into_view_if_needed()
    last = tab.page.locator(".prompt img").last
    assert last.evaluate("async image => { await image.decode(); return image.naturalWidth; }") == 16
    assert tab.wrong == []


def test_an_address_shows_what_its_sender_saw_but_lifts_no_blur(browser: Any, tmp_path: Path) -> None:
    folder = stored_run(tmp_path / "run", model="sd-v1-4")
    file = write_own_page(folder)
    tab = Tab(browser, file)
    page = tab.page
    page.get_by_role("button", name="SSIM").click()
    page.get_by_text("Columns and kinds").click()
    page.get_by_role("checkbox", name="Steps").uncheck()
    page.get_by_label("Test against").select_option("esd")
    page.get_by_role("combobox", name="Training").select_option("1")
    page.get_by_label("Find").first.fill("concept-4")
    page.get_by_role("checkbox", name="blur").uncheck()
    page.locator(".prompt button").nth(1).click()
    state = page.evaluate("location.hash")
    seen = Tab(browser, file)
    seen.again(file, state)
    assert seen.page.locator("dialog figure:first-child figcaption").inner_text() == "ESD"
    assert "training seed 1" in seen.page.locator("dialog .facts").inner_text()
    assert seen.page.evaluate("document.querySelector('dialog img').classList.contains('veil')")
    seen.page.keyboard.press("Escape")
    assert "open" not in seen.page.evaluate("location.hash")
    assert seen.texts(".prompt h4 small") == [f"concept-4 · noise {2**62 + 4}"]
    rows = ".board tbody tr:not([hidden]) th"
    assert seen.texts(rows) == tab.texts(rows)
    assert seen.page.locator(".board thead th[hidden]").count() == 1
    assert any(", p " in text for text in seen.texts(".test"))
    seen.again(file, "#by0=99 up&open0=nobody 7&set0=12&training0=<b>&no-column0=x")
    assert seen.page.locator(".prompt").count() == 6
    assert (tab.wrong, seen.wrong) == ([], [])


def test_in_a_narrow_window_plots_scroll_and_their_letters_stay_legible(browser: Any, file: Path) -> None:
    tab = Tab(browser, file, width=400)
    smallest = """Math.min(...[...document.querySelectorAll('.chart text')].map(
        one => parseFloat(getComputedStyle(one).fontSize) * one.ownerSVGElement.getBoundingClientRect().width
            / one.ownerSVGElement.viewBox.baseVal.width))"""
    assert tab.page.evaluate(smallest) > 9
    assert tab.page.evaluate("document.documentElement.scrollWidth") <= 400
    assert accessible(tab) == ""


def test_print_has_all_that_is_folded(browser: Any, file: Path) -> None:
    tab = Tab(browser, file)
    folded = tab.page.locator("details:not([open]) dl").last
    is_shown = "one => one.checkVisibility()"
    assert not folded.evaluate(is_shown)
    tab.page.emulate_media(media="print")
    assert folded.evaluate(is_shown)
    assert not tab.page.locator(".tools").first.is_visible()


def test_small_copies_beside_the_page_are_shown(browser: Any, tmp_path: Path) -> None:
    folder = stored_run(tmp_path / "run", side=300)
    file = write_page([open_run(folder.root)], tmp_path / "report.html", is_beside=True)
    copies = sorted((tmp_path / "report-images" / "run").rglob("*"))
    assert len([one for one in copies if one.suffix == ".webp"]) == 2 * 6 * 6  # sets, prompts, trainings of all rows
    shutil.rmtree(folder.root)
    tab = Tab(browser, file)
    tab.page.wait_for_function("document.querySelector('.prompt img').naturalWidth === 192")
    assert tab.wrong == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_accessible(browser: Any, file: Path, scheme: str) -> None:
    tab = Tab(browser, file, scheme=scheme)
    tab.page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    assert accessible(tab) == ""


def test_a_page_of_two_runs_that_erase_the_same_tells_them_apart(browser: Any, tmp_path: Path) -> None:
    runs = []
    for name in ("one", "two"):
        folder = stored_run(tmp_path / name, prompts=2)
        stored_spectrum(folder, ["truck"])
        Image.new("RGB", (900, 90), "red").save(folder.root / "strips.png")
        runs.append(open_run(folder.root))
    tab = Tab(browser, write_page(runs, tmp_path / "report.html"))
    tab.page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    assert tab.texts("h2[id^=name]") == [f"Erasing “nudity” from mini · {name}" for name in ("one", "two")]
    assert accessible(tab) == ""
    assert tab.wrong == []


def test_without_scripts_tables_and_plots_are_read(browser: Any, file: Path) -> None:
    page = browser.new_context(offline=True, java_script_enabled=False).new_page()
    page.goto(file.as_uri())
    assert "ESD" in page.locator(".board").inner_text()
    assert page.locator("figure.chart svg").first.is_visible()
