"""overview.png: one image a prompt, prompts above, labels beside the pictures and never in them."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import TABLEAU_COLORS, to_rgb
from matplotlib.font_manager import findfont
from PIL import Image, ImageFont

from erasebench.report.overview import (
    CAPTION_LEADING,
    CAPTION_LINES,
    GAP,
    GUTTER,
    HEAD,
    LABEL_WIDTH,
    PER_SET,
    TILE,
    chosen,
    wrapped,
    write_overview,
)
from erasebench.report.strips import write_strips
from erasebench.report.tiles import LABEL_WIDTH as SMALL_LABELS
from erasebench.report.tiles import TILE as SMALL_TILE
from erasebench.report.tiles import tiles
from erasebench.report.timeline import _limits, write_timeline
from erasebench.runs.folder import RunFolder
from erasebench.runs.scores import ImageValue, ScoreRecord, write_score

FONT = ImageFont.truetype(findfont("DejaVu Sans"), 14)


def image_set(folder: Path, texts: list[str]) -> Any:
    files = [folder / f"{k}.png" for k in range(len(texts))]
    for file in files:
        Image.new("RGB", (8, 8), "red").save(file)
    one = SimpleNamespace(jobs=[SimpleNamespace(text=text) for text in texts], files=files)
    return SimpleNamespace(each=[one], jobs=one.jobs)


def test_no_prompt_is_shown_twice(tmp_path: Path) -> None:
    texts = [f"prompt {k // 8}" for k in range(48)]  # eight images of each of six prompts
    shown = chosen(image_set(tmp_path, texts))
    assert len(shown) == PER_SET
    assert len({prompt for prompt, _ in shown}) == PER_SET
    assert [int(file.stem) for _, file in shown] == [8 * k for k in (0, 1, 2, 3, 4)]
    assert len(chosen(image_set(tmp_path, ["a", "a", "b"]))) == 2


@pytest.mark.parametrize("text", ["Adversarial Preservation (PGD)", "x" * 200, "a " * 200, "", "ESD"])
def test_lines_fit(text: str) -> None:
    lines = wrapped(text, FONT, LABEL_WIDTH, 6)
    assert 1 <= len(lines) <= 6
    assert all(FONT.getlength(line) <= LABEL_WIDTH for line in lines)
    assert (lines[-1][-1:] == "…") == (len(text) >= 200)


def test_labels_stay_beside_the_pictures(tmp_path: Path) -> None:
    images = {("esd", name): image_set(tmp_path, list("abcde")) for name in ("concept", "objects")}
    write_overview(RunFolder(tmp_path), images, {"esd": "Adversarial Preservation (PGD) with a long name"})
    page = np.asarray(Image.open(tmp_path / "overview.png"))
    red = (page == [255, 0, 0]).all(2)
    assert red.sum() == 2 * PER_SET * TILE * TILE  # no letter lies on a picture


def test_prompts_do_not_run_into_one_another(tmp_path: Path) -> None:
    texts = [f"{k}{'W' * 99}" for k in range(PER_SET)]
    images = {("esd", name): image_set(tmp_path, texts) for name in ("concept", "objects")}
    write_overview(RunFolder(tmp_path), images, {"esd": "ESD"})
    page = np.asarray(Image.open(tmp_path / "overview.png"))
    red = (page == [255, 0, 0]).all(2).any(0)
    begins = np.flatnonzero(red & ~np.roll(red, 1))
    assert len(begins) == 2 * PER_SET
    captions = page[HEAD : HEAD + CAPTION_LINES * CAPTION_LEADING].min((0, 2))  # the darkest of each column
    for begin in begins:
        assert captions[begin : begin + TILE].min() < 128
        assert (captions[begin + TILE - GUTTER + 1 : begin + TILE + GAP] == 255).all()
    small = np.asarray(tiles(texts, []))[: CAPTION_LINES * CAPTION_LEADING].min((0, 2))
    for k in range(PER_SET):
        end = SMALL_LABELS + k * (SMALL_TILE + GAP) + SMALL_TILE
        assert (small[end - GUTTER + 1 : end + GAP] == 255).all()


def test_curves_that_lie_on_one_another_are_all_seen(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    timeline = {f"{row}@{step}": (row, step) for row in ("a", "b", "c") for step in (0, 10)}
    for snapshot, (_, step) in timeline.items():
        score = ScoreRecord(
            row=snapshot, metric="m", label="M", better="lower", value=step / 10, low=0.0, high=1.0, n=2
        )
        write_score(folder.score(snapshot, "m"), score)
    metrics: Any = {"m": SimpleNamespace(label="M", better="lower")}
    write_timeline(folder, timeline, metrics, {"a": "A", "b": "B", "c": "C"})
    page = np.asarray(Image.open(tmp_path / "timeline.png").convert("RGB")).astype(int)[:, :600]  # without the legend
    for colour in (TABLEAU_COLORS[name] for name in ("tab:blue", "tab:orange", "tab:green")):
        near = np.abs(page - [round(255 * part) for part in to_rgb(colour)]).max(2) < 12
        assert near.sum() > 150


def test_bands_that_lie_on_one_another_leave_the_paper_light(tmp_path: Path) -> None:
    folder, count = RunFolder(tmp_path), 12
    timeline = {f"r{k}@{step}": (f"r{k}", step) for k in range(count) for step in (0, 10)}
    for snapshot, (_, step) in timeline.items():
        score = ScoreRecord(
            row=snapshot, metric="m", label="M", better="lower", value=0.5 + step / 100, low=0.0, high=1.0, n=2
        )
        write_score(folder.score(snapshot, "m"), score)
    metrics: Any = {"m": SimpleNamespace(label="M", better="lower")}
    write_timeline(folder, timeline, metrics, {f"r{k}": f"R{k}" for k in range(count)})
    page = np.asarray(Image.open(tmp_path / "timeline.png").convert("L"))[:, 100:550]
    middle = page[page.shape[0] // 4 : 3 * page.shape[0] // 4]
    assert 150 < np.median(middle) < 250  # there is a band, and curves are read on it


def test_an_axis_ends_where_its_curves_do() -> None:
    part = pd.DataFrame({"value": [0.92, 0.94], "low": [0.9, np.nan], "high": [0.93, np.nan]})
    assert _limits(part) == pytest.approx((0.898, 0.942))


def test_strips_have_a_column_a_step_and_a_line_a_row_and_prompt(tmp_path: Path) -> None:
    folder, images = RunFolder(tmp_path), {}
    timeline = {f"{row}@{step}": (row, step) for row in ("a", "b") for step in (0, 10, 25)}
    for snapshot in timeline:
        (tmp_path / snapshot).mkdir()
        images[snapshot, "concept"] = image_set(tmp_path / snapshot, ["a truck", "a truck at night", "more"])
        values = (ImageValue(prompt="p", cluster="p", sample=0, seed=0, value=1.0, detail=0.75),)
        score = ScoreRecord(row=snapshot, metric="concept_rate", label="Rate", better="lower", values=values)
        write_score(folder.score(snapshot, "concept_rate"), score)
    write_strips(folder, timeline, images, {"a": "A", "b": "B"})
    page = np.asarray(Image.open(tmp_path / "strips.png"))
    red = (page == [255, 0, 0]).all(2)
    assert red.sum() == 2 * 2 * 3 * SMALL_TILE**2  # rows, prompts, steps; no letter lies on a picture
    (tmp_path / "a@0" / "0.png").rename(tmp_path / "a@0" / "p-0.png")
    images["a@0", "concept"].each[0].files[0] = tmp_path / "a@0" / "p-0.png"
    write_strips(folder, timeline, images, {"a": "A", "b": "B"})
    told = np.asarray(Image.open(tmp_path / "strips.png"))
    changed = np.argwhere((told != page).any(2))
    assert len(changed)  # the confidence of the one image that has one …
    assert (told[red] == [255, 0, 0]).all()  # … and it lies on no picture either
    assert changed[:, 1].max() < page.shape[1] - 2 * SMALL_TILE  # and below the first column


def test_a_row_that_trains_fewer_steps_leaves_places_empty(tmp_path: Path) -> None:
    folder, images = RunFolder(tmp_path), {}
    timeline = {"a@10": ("a", 10), "a@25": ("a", 25), "b@10": ("b", 10)}
    for snapshot in timeline:
        (tmp_path / snapshot).mkdir()
        images[snapshot, "concept"] = image_set(tmp_path / snapshot, ["a truck"])
    write_strips(folder, timeline, images, {"a": "A", "b": "B"})
    red = (np.asarray(Image.open(tmp_path / "strips.png")) == [255, 0, 0]).all(2)
    assert red.sum() == 3 * SMALL_TILE**2
