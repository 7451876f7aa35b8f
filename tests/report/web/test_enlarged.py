"""The enlarged picture in headless Chromium: full size or the way to it, and blurs that keys lift, too."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from browsing import Tab, accessible
from PIL import Image
from stored_run import stored_run

from erasebench.report.web.opened import open_run
from erasebench.report.web.page import write_own_page, write_page

FILE = "images/esd/concept/seed-0/concept-0-0.png"
WIDTH = "document.querySelector('dialog .large').naturalWidth"


def enlarged(browser: Any, file: Path, **options: Any) -> Tab:
    """The page with ESD's image of the first prompt in the enlarged view."""
    tab = Tab(browser, file, **options)
    button = tab.page.locator(".prompt button").nth(1)
    button.click()
    if not tab.page.locator("dialog").is_visible():  # it was blurred
        button.click()
    return tab


def size(tab: Tab, width: int) -> str:
    """What stands below the picture once it has this width."""
    tab.page.wait_for_function(f"{WIDTH} === {width} && document.querySelector('dialog .size').textContent")
    return tab.texts("dialog .size")[0]


@pytest.mark.parametrize("is_beside", [False, True])
def test_a_copy_is_called_a_copy_and_says_where_the_image_is(browser: Any, tmp_path: Path, is_beside: bool) -> None:
    folder, pages = stored_run(tmp_path / "run", side=300, prompts=2), tmp_path / "pages"
    pages.mkdir()
    tab = enlarged(browser, write_page([open_run(folder.root)], pages / "report.html", is_beside=is_beside))
    assert size(tab, 192) == f"192 px copy; full size in the run’s folder: {FILE}"
    assert (folder.root / FILE).is_file()
    assert tab.wrong == []


def test_a_copy_that_is_not_smaller_is_not_called_so(browser: Any, tmp_path: Path) -> None:
    folder, pages = stored_run(tmp_path / "run", side=16, prompts=1), tmp_path / "pages"
    pages.mkdir()
    tab = enlarged(browser, write_page([open_run(folder.root)], pages / "report.html"))
    assert size(tab, 16) == f"16 px copy; the file in the run’s folder: {FILE}"


@pytest.mark.parametrize("place", [".", "run"])
@pytest.mark.parametrize("is_beside", [False, True])
def test_a_page_near_the_run_shows_full_size_and_sent_away_a_copy(
    browser: Any, tmp_path: Path, place: str, is_beside: bool
) -> None:
    folder = stored_run(tmp_path / "run", side=300, prompts=2)
    file = write_page([open_run(folder.root)], tmp_path / place / "report.html", is_beside=is_beside)
    tab = enlarged(browser, file)
    assert size(tab, 300) == f"full size, 300 × 300 px: {FILE}"
    assert tab.wrong == []
    shutil.rmtree(folder.root / "images")
    tab = enlarged(browser, file)
    assert size(tab, 192).startswith("192 px copy; full size in the run’s folder")
    assert all("ERR_FILE_NOT_FOUND" in text for text in tab.wrong)


def test_a_runs_own_page_shows_full_size(browser: Any, tmp_path: Path) -> None:
    tab = enlarged(browser, write_own_page(stored_run(tmp_path / "run", side=300, prompts=2)))
    assert size(tab, 300) == f"full size, 300 × 300 px: {FILE}"
    assert tab.wrong == []


def test_what_is_blurred_is_shown_when_it_is_asked_for(browser: Any, tmp_path: Path) -> None:
    folder = stored_run(tmp_path / "run", model="sd-v1-4")
    Image.new("RGB", (90, 90), "red").save(folder.root / "strips.png")
    tab = Tab(browser, write_own_page(folder))  # with the images beside it
    page, image = tab.page, tab.page.locator(".prompt img").nth(1)
    page.wait_for_function("document.querySelector('.prompt img').naturalWidth > 0")

    def blurred() -> bool:
        return "blur" in image.evaluate("image => getComputedStyle(image).filter")

    assert blurred()
    page.locator(".prompt button").nth(1).click()
    assert not blurred()
    assert not page.locator("dialog").is_visible()
    page.locator(".prompt button").nth(1).click()  # and now enlarges: the others stay blurred until they are clicked
    veiled = "[...document.querySelectorAll('dialog img')].map(image => image.classList.contains('veil'))"
    assert page.evaluate(veiled) == [False, True]
    page.keyboard.press("ArrowRight")
    assert page.evaluate(veiled) == [True, True]
    page.locator("dialog img").first.click()
    assert page.evaluate(veiled) == [False, True]
    page.keyboard.press("Escape")
    page.get_by_role("checkbox", name="blur").uncheck()
    page.get_by_role("checkbox", name="blur").check()
    assert blurred()
    page.get_by_role("checkbox", name="blur").uncheck()
    assert not blurred()
    image = page.locator(".drawn img")
    page.get_by_text("Images by training step").first.click()
    assert blurred()
    page.locator(".drawn").click()
    assert not blurred()
    assert tab.wrong == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_keys_alone_show_and_hide_what_is_blurred(browser: Any, tmp_path: Path, scheme: str) -> None:
    file = write_own_page(stored_run(tmp_path / "run", model="sd-v1-4"))
    tab = Tab(browser, file, scheme=scheme)
    page = tab.page
    in_table = page.locator(".prompt button").nth(1)
    in_table.focus()
    page.keyboard.press("Enter")  # shows it there
    page.keyboard.press("Enter")  # and enlarges
    veiled = "[...document.querySelectorAll('dialog img')].map(image => image.classList.contains('veil'))"
    assert page.evaluate(veiled) == [False, True]
    assert accessible(tab) == ""
    show = page.get_by_role("button", name="Show the image of Original")
    show.focus()
    page.keyboard.press("Enter")
    assert page.evaluate(veiled) == [False, False]
    page.get_by_role("button", name="Hide the image of ESD").focus()
    page.keyboard.press("Space")
    assert page.evaluate(veiled) == [True, False]
    assert "clear" not in (in_table.get_attribute("class") or "")
    assert (in_table.get_attribute("aria-label") or "").endswith("blurred until it is clicked")
    page.keyboard.press("ArrowLeft")  # the original beside nothing: its own button is focused no more
    page.keyboard.press("ArrowRight")
    assert page.locator("dialog figure:first-child figcaption").inner_text() == "ESD"
    assert page.evaluate(veiled) == [True, False]
    assert accessible(tab) == ""
    assert tab.wrong == []


def test_arrows_work_after_a_click_beside_the_buttons(browser: Any, tmp_path: Path) -> None:
    tab = enlarged(browser, write_own_page(stored_run(tmp_path / "run", prompts=2)))
    tab.page.locator("dialog .facts").click()
    tab.page.keyboard.press("ArrowRight")
    assert tab.page.locator("dialog figure:first-child figcaption").inner_text() == "UCE"
    assert not tab.page.locator("dialog .lift").first.is_visible()  # nothing is blurred on the embedded model


def test_in_a_narrow_window_all_of_it_is_seen_at_once(browser: Any, tmp_path: Path) -> None:
    tab = enlarged(browser, write_own_page(stored_run(tmp_path / "run", prompts=2)), width=400)
    for part in ("h2", ".large", ".beside", ".close"):
        box = tab.page.locator(f"dialog {part}").bounding_box()
        assert box is not None
        assert 0 <= box["y"] < box["y"] + box["height"] <= 800
        assert 0 <= box["x"] < box["x"] + box["width"] <= 400
    wider = """[...document.querySelectorAll('.row button')].filter(
        one => one.getBoundingClientRect().right > one.parentNode.getBoundingClientRect().right + 0.5).length"""
    assert tab.page.evaluate(wider) == 0
