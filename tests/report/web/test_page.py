"""The page of a run: whole without network or torch, hostile texts stay text, what is missing or damaged is said."""

import base64
import hashlib
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from stored_run import stored_run, stored_spectrum
from typer.testing import CliRunner

from erasebench.cli.app import app
from erasebench.errors import BenchError
from erasebench.report.web.chart import Point, Series, chart
from erasebench.report.web.opened import open_run, open_runs
from erasebench.report.web.page import render, write_own_page, write_page
from erasebench.report.web.pictures import is_blurred, on_a_page, pictures_of
from erasebench.report.web.visible import page_json, visible
from erasebench.runs.folder import RunFolder
from erasebench.runs.plan import Prompts

HOSTILE = "</script><img src=x onerror=alert(1)>\"'&\u202e{{7*7}}]]><!--\x07"


class Page(HTMLParser):
    """Elements with their attributes, and the text of scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.raw: dict[str, list[str]] = {"script": [], "style": []}
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag in self.raw:
            self.raw[tag].append("")

    def handle_data(self, data: str) -> None:
        last = self.elements[-1][0] if self.elements else ""
        if last in self.raw and self.cdata_elem:
            self.raw[last][-1] += data
        else:
            self.text += data

    @property
    def data(self) -> Any:
        return json.loads(self.raw["script"][0])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return stored_run(tmp_path_factory.mktemp("pages") / "run")


def page_of(folder: RunFolder, to: Path, **options: Any) -> Page:
    return Page(write_page([open_run(folder.root)], to, **options).read_text(encoding="utf-8"))


def test_the_policy_allows_this_script_and_style_alone(folder: RunFolder, tmp_path: Path) -> None:
    page = page_of(folder, tmp_path / "report.html")
    (policy,) = [a["content"] or "" for tag, a in page.elements if a.get("http-equiv") == "Content-Security-Policy"]
    for name in ("script", "style"):
        digest = base64.b64encode(hashlib.sha256(page.raw[name][-1].encode()).digest()).decode()
        assert f"{name}-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert "img-src data:;" in policy
    outside = [value for _, a in page.elements for key, value in a.items() if key in ("src", "href")]
    assert [value for value in outside if not (value or "#").startswith("#")] == []
    assert not [a for _, a in page.elements if "style" in a or any(key.startswith("on") for key in a)]
    assert "</script" not in page.raw["script"][-1]
    assert "<!--" not in page.raw["script"][-1]


def test_numbers_and_images_are_all_there(folder: RunFolder, tmp_path: Path) -> None:
    page = page_of(folder, tmp_path / "report.html")
    board = page.data["board"]
    assert [row["key"] for row in board["rows"]] == ["original", "esd", "uce", "sdd-strong"]
    assert [column["group"] for column in board["columns"]] == ["", "", "Cost"]
    assert board["rows"][0]["cells"][0]["text"] in page.text
    concept, objects = page.data["sets"]
    assert (concept["role"], objects["role"]) == ("concept", "objects")
    assert [(row["key"], row["training"]) for row in concept["rows"]] == [
        ("original", None), ("esd", "0"), ("esd", "1"), ("uce", None), ("sdd-strong", "0"), ("sdd-strong", "1"),
    ]  # fmt: skip
    assert all(base64.b64decode(image)[8:12] == b"WEBP" for row in concept["rows"] for image in row["images"])
    assert concept["prompts"][1]["seed"] == str(2**62 + 1)  # a number would be rounded
    assert concept["rows"][0]["values"]["concept_rate"] == [1] * 6
    against = page.data["against"]["original"]["uce"]["concept_rate"]
    assert against["difference"].startswith("−")


def test_a_runs_own_page_shows_the_images_beside_it(folder: RunFolder) -> None:
    file = write_own_page(folder)
    row = Page(file.read_text(encoding="utf-8")).data["sets"][0]["rows"][1]
    assert row["images"] == [1] * 6
    assert (file.parent / row["folder"] / "concept-0-0.png").is_file()


def test_too_many_pictures_are_a_sample_that_says_so(folder: RunFolder, tmp_path: Path) -> None:
    small = page_of(folder, tmp_path / "small.html", budget=0.003).data["sets"][0]
    assert 1 <= len(small["prompts"]) < 6
    assert (small["size"], small["rest"]) == (6, "`bench report --beside` shows all")
    whole = page_of(folder, tmp_path / "whole.html").data["sets"][0]
    assert (len(whole["prompts"]), whole["rest"]) == (6, "")
    assert page_of(folder, tmp_path / "none.html", budget=0).data["sets"] == []


@pytest.mark.parametrize("options", [{}, {"is_beside": True}, {"link": True}])
def test_the_cap_is_the_pages_and_what_is_beside_it_is_not_sent_for_again(
    options: Any, folder: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("erasebench.report.web.shown.MOST_IMAGES", 60)
    runs = [open_run(one.root) for one in (folder, stored_run(tmp_path / "other", prompts=1))]
    page = write_page(runs, tmp_path / "report.html", **options).read_text(encoding="utf-8")
    sets = [one for data in Page(page).raw["script"][:-1] for one in json.loads(data)["sets"]]
    # six rows each: the small run's two sets are whole and leave 48 images, four prompts of each set of the larger
    assert [(len(one["prompts"]), one["size"]) for one in sets] == [(4, 6), (4, 6), (1, 1), (1, 1)]
    rest = "a page holds 60 images at most, and the rest lies in images, in the run’s folder"
    assert [one["rest"] for one in sets] == [rest, rest, "", ""]


def test_a_page_of_more_than_it_holds_has_a_part_of_each_set(folder: RunFolder) -> None:
    sets = pictures_of(open_run(folder.root))
    assert [len(one.prompts) for one in on_a_page(sets, 24)] == [2, 2]
    assert [len(one.prompts) for one in on_a_page(sets, 1)] == [1, 1]
    assert on_a_page(sets) == sets
    assert on_a_page([]) == []


@pytest.mark.parametrize("is_beside", [False, True])
def test_copies_say_how_far_each_image_is_from_the_originals(tmp_path: Path, is_beside: bool) -> None:
    """Where a metric of the set says it, such as SSIM, pixels are not compared once more."""
    page = page_of(stored_run(tmp_path / "run", prompts=2), tmp_path / "report.html", is_beside=is_beside)
    concept, objects = page.data["sets"]
    assert [(one["key"], one["is_change"]) for one in concept["metrics"]] == [
        ("concept_rate", False), ("pixel-change", True)]  # fmt: skip
    assert [(one["key"], one["is_change"]) for one in objects["metrics"]] == [("ssim", True)]
    changes = {row["label"]: row["values"]["pixel-change"] for row in concept["rows"]}
    assert changes["Original"] == [None, None]
    red, green = np.array([255, 0, 0]), np.array([0, 128, 0])
    assert changes["ESD"] == pytest.approx([np.abs(red - green).mean() / 255] * 2, abs=0.02)


def test_an_image_that_is_not_there_has_no_change(tmp_path: Path) -> None:
    folder = stored_run(tmp_path / "run", prompts=2)
    (folder.images("uce", "concept") / "concept-0-0.png").unlink()
    (folder.images("original", "concept") / "concept-1-0.png").unlink()
    rows = page_of(folder, tmp_path / "report.html").data["sets"][0]["rows"]
    changes = {row["key"]: [value is not None for value in row["values"]["pixel-change"]] for row in rows}
    assert (changes["uce"], changes["esd"]) == ([False, False], [True, False])


def test_pictures_of_attacks_and_purification_are_in_the_page(tmp_path: Path) -> None:
    folder = stored_run(tmp_path / "run", model="sd-v1-4", prompts=1)
    for place in ("attacks/esd", "purified/uce", "strips"):
        (folder.root / place).parent.mkdir(exist_ok=True)
        Image.new("RGB", (2000, 10), "red").save(folder.root / f"{place}.png")
    (folder.root / "attacks" / "uce.png").write_bytes(b"damaged")

    def shown(**options: Any) -> list[tuple[str | None, str]]:
        page = page_of(folder, folder.root / "report.html", **options)
        pairs = [(a.get("alt"), a.get("src") or "") for tag, a in page.elements if tag == "img" and a.get("alt")]
        return [(alt, src[:28]) for alt, src in pairs]

    blurred = ", blurred until it is clicked"
    titles = [f"{title}{blurred}" for title in ("Images by training step", "Attacks on ESD", "Real images through UCE")]
    assert shown() == [(title, "data:image/webp;base64,UklGR") for title in titles]
    assert ("Attacks on ESD" + blurred, "./attacks/esd.png") in shown(link=True)
    assert shown(budget=0.0001) == []


@pytest.mark.parametrize(
    ("model", "concept", "blurred"),
    [("mini", "nudity", [False, False]), ("sd-v1-4", "nudity", [True, False]), ("sd-v1-4", "dog", [False, False])],
)
def test_what_may_be_unsafe_is_blurred(
    model: str, concept: str, blurred: list[bool], folder: RunFolder, tmp_path: Path
) -> None:
    run = open_run(folder.root)
    changed = run.plan.model_copy(update={"model": model, "concept": concept})
    from dataclasses import replace

    assert [one.is_blurred for one in pictures_of(replace(run, plan=changed))] == blurred


def test_prompts_of_a_file_are_blurred_whatever_is_erased(folder: RunFolder) -> None:
    """I2P asks for nudity and violence where a painter's style is erased, too."""
    from dataclasses import replace

    run = open_run(folder.root)
    for source, blurred in (("i2p.csv", True), ("hub:OWNER/prompts", True), ("data/coco_30k.csv", False)):
        prompts = {role: Prompts(source=source) for role in run.plan.prompts}
        changed = run.plan.model_copy(update={"model": "sd-v1-4", "concept": "van gogh", "prompts": prompts})
        assert {is_blurred(replace(run, plan=changed), role) for role in prompts} == {blurred}


def test_hostile_texts_stay_text(tmp_path: Path) -> None:
    tame = page_of(stored_run(tmp_path / "tame"), tmp_path / "tame.html")
    page = page_of(stored_run(tmp_path / "run", hostile=HOSTILE), tmp_path / "report.html")
    assert not [tag for tag, a in page.elements if tag == "img" and "onerror" in a]
    assert "49" not in page.data["sets"][0]["prompts"][0]["text"]
    assert "⟨U+202E⟩" in page.data["sets"][0]["prompts"][0]["text"]
    assert visible(HOSTILE) in page.text
    counts = [
        sum(tag == wanted for tag, _ in one.elements) for one in (tame, page) for wanted in ("script", "svg", "td")
    ]
    assert counts[:3] == counts[3:]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=60))
def test_no_text_ends_its_element(text: str) -> None:
    data = page_json({text: [text, float("nan"), 1]})
    assert not re.search(r"[<>&]|-->", data)
    key, (value, nothing, one) = next(iter(json.loads(data).items()))
    assert key == value == visible(text)
    assert (nothing, one) == (None, 1)
    assert not any(letter in visible(text) for letter in "\u202e\u2066\x00\x1b")
    html = render(text, [], link=False)
    assert Page(html).text.count(visible(text).replace("\r", "\n")) >= 2


def test_an_unfinished_run_is_shown_as_far_as_it_is(tmp_path: Path) -> None:
    folder = stored_run(tmp_path / "run", status="failed")
    folder.score("uce", "ssim").unlink()
    folder.score("esd", "ssim").write_text("{")
    (folder.images("uce", "concept") / "concept-1-0.png").unlink()
    page = page_of(folder, tmp_path / "report.html")
    assert "This run is failed" in page.text
    assert "not scored yet" in page.text
    assert "is damaged" in page.text
    uce = next(row for row in page.data["sets"][0]["rows"] if row["key"] == "uce")
    assert [image is None for image in uce["images"]] == [False, True, *[False] * 4]


def test_a_run_without_a_record_or_without_images_has_a_page(tmp_path: Path) -> None:
    folder = stored_run(tmp_path / "run")
    folder.status.write_text("not a record")
    folder.images_list("original", "concept").unlink()
    page = page_of(folder, tmp_path / "report.html")
    assert "run.json is damaged" in page.text
    assert [one["role"] for one in page.data["sets"]] == ["objects"]


def test_what_is_no_run_is_refused(folder: RunFolder, tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="is no run's folder"):
        open_runs([tmp_path])
    with pytest.raises(BenchError, match="stands there twice"):
        open_runs([folder.root, folder.root])
    other = stored_run(tmp_path / "run")
    with pytest.raises(BenchError, match="two runs are called 'run'"):
        open_runs([folder.root, other.root])
    with pytest.raises(BenchError, match="there is no folder"):
        write_page([open_run(folder.root)], tmp_path / "nowhere" / "report.html")
    with pytest.raises(BenchError, match="--inline -1"):
        app(["report", str(folder.root), "--inline", "-1"], standalone_mode=False)
    record = json.loads(other.status.read_text())
    from erasebench.storage.files import write_json

    del record["checksum"]
    write_json(other.status, {**record, "schema_version": 999})
    with pytest.raises(BenchError, match="another version"):
        open_runs([other.root])


@pytest.mark.slow
def test_the_command_writes_a_page_of_two_runs_without_torch(folder: RunFolder, tmp_path: Path) -> None:
    other = stored_run(tmp_path / "other")
    to = tmp_path / "both.html"
    done = CliRunner().invoke(app, ["report", str(folder.root), str(other.root), "--to", str(to)])
    assert done.exit_code == 0, done.output
    assert str(to) in done.output
    assert [a["id"] for tag, a in Page(to.read_text()).elements if tag == "section"] == ["run-0", "run-1"]
    code = (
        "import sys; from pathlib import Path; from erasebench.report.web.page import *; "
        "from erasebench.report.web.opened import open_run; "
        f"write_page([open_run(Path({str(other.root)!r}))], Path({str(to)!r})); "
        "print([name for name in ('torch', 'diffusers', 'transformers') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"


def test_the_same_run_gives_the_same_bytes(folder: RunFolder, tmp_path: Path) -> None:
    pages = [write_page([open_run(folder.root)], tmp_path / "a.html").read_bytes() for _ in range(2)]
    assert pages[0] == pages[1]


def test_a_charts_labels_never_overlap() -> None:
    series = [Series(f"row {k}", [Point(0.0, 0.5, (0.0, 0.1), (0.4, 0.6))], k) for k in range(30)]
    drawn = chart("t", "x", "y", series)
    heights = sorted(one.label_y for one in drawn.series)
    assert all(b - a >= 14.9 for a, b in pairwise(heights))
    assert heights[-1] <= drawn.bottom


def test_tests_that_would_take_long_are_left_out_and_said(folder: RunFolder, tmp_path: Path) -> None:
    assert page_of(folder, tmp_path / "report.html", tested=10).data["against"] is None
    assert page_of(folder, tmp_path / "report.html").data["against"]


def test_a_page_of_the_readmes_run_is_under_8_mb(tmp_path: Path) -> None:
    """2,016 images of 64 pixels, by what an image cell of a small run with real pictures takes."""
    folder, cells = stored_run(tmp_path / "run", side=64), 2 * 6 * 6  # sets, prompts, rows
    drawn = Image.open(Path(__file__).parents[3] / "docs" / "overview.png").convert("RGB")
    for k, file in enumerate(sorted((folder.root / "images").rglob("*.png"))):
        left, top = 115 + 116 * (k % 5), 69 + 116 * (k // 5 % 7)
        drawn.crop((left, top, left + 112, top + 112)).resize((64, 64)).save(file)
    sizes = []
    for budget in (0, 12):
        to = write_page([open_run(folder.root)], tmp_path / "report.html", budget=budget)
        sizes.append(to.stat().st_size)
    a_cell = (sizes[1] - sizes[0]) / cells
    assert 500 < a_cell < 2_500
    assert sizes[0] + 2_016 * a_cell < 8_000_000


def test_a_long_report_says_how_far_it_is(folder: RunFolder, tmp_path: Path) -> None:
    seen: list[tuple[str, str, int, int]] = []
    runs = [open_run(one.root) for one in (folder, stored_run(tmp_path / "other", prompts=1))]
    write_page(runs, tmp_path / "report.html", told=lambda *one: seen.append(one))
    assert list(dict.fromkeys(stage for stage, *_ in seen)) == ["pictures", "tests"]
    for stage, unit, total in (("pictures", "images", 2 * 6 * 7), ("tests", "pairs of rows", 6 + 6)):
        counts = [count for name, _, count, _ in seen if name == stage]
        assert counts == sorted(counts)
        assert [one for one in seen if one[0] == stage][-1] == (stage, unit, total, total)
    seen.clear()
    write_page(runs, tmp_path / "report.html", budget=0.0002, tested=10, told=lambda *one: seen.append(one))
    assert seen[-1][2] == seen[-1][3] == 2 * 6 * 7  # what is left out is passed by
    assert {stage for stage, *_ in seen} == {"pictures"}


def test_a_spectrums_words_are_in_the_page(tmp_path: Path) -> None:
    folder = stored_run(tmp_path / "run", prompts=1)
    stored_spectrum(folder, ["truck", HOSTILE, "tree"])
    words = page_of(folder, tmp_path / "report.html").data["words"]
    assert words["words"] == ["truck", visible(HOSTILE), "tree"]
    assert [method["label"] for method in words["methods"]] == ["ESD", "UCE"]
    assert words["methods"][0]["scores"] == [-1.0, -0.5, -0.3333]
    assert words["methods"][0]["named"][0]["word"] == "nudity"
    (folder.root / "spectrum" / "esd.parquet").write_bytes(b"damaged")
    assert [method["label"] for method in page_of(folder, tmp_path / "b.html").data["words"]["methods"]] == ["UCE"]
