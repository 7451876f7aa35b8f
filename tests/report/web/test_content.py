"""What a page says of a run: in short, plots, how it was made; numbers that a reader would work out by hand."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stored_run import stored_run

from erasebench.report.web.board import board_of
from erasebench.report.web.chart import Chart
from erasebench.report.web.ladders import Ladder, ladders
from erasebench.report.web.made import how_it_was_made
from erasebench.report.web.opened import OpenRun, open_run
from erasebench.report.web.page import write_page
from erasebench.report.web.plots import DRAWS, Plots, plots_of
from erasebench.report.web.summary import in_short
from erasebench.runs.plan import Variant
from erasebench.storage.files import write_json


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> OpenRun:
    """The original shows the concept always, ESD in 4 of 6 images, UCE in 2, SDD in none; SSIM rises in that order."""
    return open_run(stored_run(tmp_path_factory.mktemp("content") / "run").root)


def with_values(run: OpenRun, error: float = 0.0, **values: tuple[float, float]) -> OpenRun:
    """The run with these rows' concept rate and SSIM."""
    scores = dict(run.scores)
    for row, pair in values.items():
        for name, value in zip(("concept_rate", "ssim"), pair, strict=True):
            key = row.replace("_", "-"), name
            scores[key] = scores[key].model_copy(
                update={"value": value, "low": value - error, "high": value + error, "error": error}
            )
    return replace(run, scores=scores)


def part(run: OpenRun, title: str) -> Plots:
    return next(plots for plots in plots_of(run) if plots.title == title)


def pareto(run: OpenRun) -> dict[str, Any]:
    (chart,) = part(run, "Erasure against what is kept").charts
    return {one.label.partition(" · ")[0]: one for one in chart.series}


def test_rings_are_at_what_no_other_method_dominates(run: OpenRun) -> None:
    found = pareto(with_values(run, esd=(0.6, 0.9), uce=(0.2, 0.8), sdd_strong=(0.3, 0.7)))
    assert {label: one.is_strong for label, one in found.items()} == {"ESD": True, "UCE": True, "SDD, strong": False}
    found = pareto(with_values(run, esd=(0.2, 0.8), uce=(0.2, 0.8), sdd_strong=(0.2, 0.7)))  # ties dominate nobody
    assert [one.is_strong for one in found.values()] == [True, True, False]


def test_how_sure_membership_is_comes_from_the_standard_errors(run: OpenRun) -> None:
    """ESD leads UCE in both by one standard error of the difference: UCE is undominated with 1 − Φ(1)²."""
    error = 0.05
    ahead = np.sqrt(2) * error
    made = with_values(run, error, esd=(0.4 - ahead, 0.5 + ahead), uce=(0.4, 0.5), sdd_strong=(0.99, 0.01))
    shares = {label: one.label.partition(" · ")[2] for label, one in pareto(made).items()}
    expected, spread = 1 - 0.8413**2, np.sqrt(0.25 / DRAWS)
    assert float(shares["UCE"].rstrip("%")) / 100 == pytest.approx(expected, abs=4 * spread + 0.005)
    assert shares["SDD, strong"] == "0%"
    exact = with_values(made, 0.0, esd=(0.3, 0.6), uce=(0.4, 0.5), sdd_strong=(0.9, 0.1))
    assert set(pareto(exact)) == {one.label for one in pareto(exact).values()}  # nothing to be unsure of


def test_who_did_not_erase_is_hollow_in_every_plot_of_rows(run: OpenRun) -> None:
    for title in ("Erasure against what is kept", "Cost"):
        plots = part(run, title)
        hollow = {one.label.partition(" · ")[0] for chart in plots.charts for one in chart.series if one.is_hollow}
        assert hollow == {"ESD"}
        assert all(("did not erase" in one.told) == one.is_hollow for chart in plots.charts for one in chart.series)
        assert "hollow" in plots.note
    erased = with_values(run, esd=(0.5, 0.6))  # half is not over half
    assert not any(one.is_hollow for one in pareto(erased).values())


def test_marks_lie_where_the_numbers_are(run: OpenRun) -> None:
    (chart,) = part(run, "Erasure against what is kept").charts
    first, second = (next(one for one in chart.series if label in one.label) for label in ("ESD", "SDD"))
    (x1, y1, xs1, _), (x2, y2, _, ys2) = first.marks[0], second.marks[0]
    assert x1 > x2  # ESD has more of the concept
    assert y1 > y2  # and less SSIM: further down
    assert xs1 is not None
    assert ys2 is not None
    assert xs1[0] < x1 < xs1[1]
    assert ys2[1] < y2 < ys2[0]


def test_in_short_says_first_who_did_not_erase(run: OpenRun) -> None:
    lines = in_short(run, board_of(run))
    assert lines[0] == "Did not erase: ESD (over half of the original’s Concept rate is left)."
    (ssim,) = [line for line in lines if line.startswith("SSIM")]
    assert ssim.endswith("of the rows that erased")
    assert "ESD" not in ssim
    (rate,) = [line for line in lines if line.startswith("Concept rate")]
    assert not rate.endswith("of the rows that erased")
    assert lines[-1].startswith("Among the best in every tested column: ")


def test_in_short_names_those_that_tables_mark(run: OpenRun) -> None:
    board = board_of(run)
    lines = in_short(run, board)
    for column in (0, 1):
        line = next(line for line in lines if line.startswith(board.columns[column].label))
        marked = [row.label for row in board.rows if row.cells[column].is_best]
        assert marked
        assert {row.label for row in board.rows if row.label in line} == set(marked)
    both = [row.label for row in board.rows if row.cells[0].is_best and row.cells[1].is_best]
    assert lines[-1].endswith(f"only {' and '.join(both)}." if both else "no method.")


def test_in_short_of_rows_that_all_erased_or_of_a_trial(run: OpenRun) -> None:
    erased = with_values(run, esd=(0.3, 0.6))
    lines = in_short(erased, board_of(erased))
    assert lines
    assert not [line for line in lines if "erase" in line]
    trial = replace(run, plan=run.plan.model_copy(update={"quick": True}))
    assert in_short(trial, board_of(trial)) == []


def laddered(run: OpenRun, methods: list[str], **variants: dict[str, Any]) -> OpenRun:
    own = {row.replace("_", "-"): Variant(**one) for row, one in variants.items()}
    return replace(run, plan=run.plan.model_copy(update={"methods": methods, "variants": own}))


def test_rows_that_differ_in_one_number_are_a_ladder(run: OpenRun) -> None:
    a, b = {"method": "sdd", "settings": {"steps": 5}}, {"method": "sdd", "settings": {"steps": 3}}
    assert ladders(laddered(run, [], a=a, b=b)) == [Ladder("sdd", "steps", ((3.0, "b"), (5.0, "a")))]
    other = {"method": "sdd", "settings": {"steps": 3, "lr": 1.0}}
    assert ladders(laddered(run, [], a=a, b=other)) == []  # differs in two
    word = {"method": "sdd", "settings": {"steps": "few"}}
    assert ladders(laddered(run, [], a=a, b=word)) == []
    assert ladders(run) == []


def test_a_loras_scale_is_a_ladder_from_the_original(run: OpenRun) -> None:
    half, full = ({"path": "/x/lora.safetensors", "scale": scale} for scale in (0.5, 1.0))
    other = {"path": "/x/another.safetensors"}
    found = ladders(laddered(run, [], esd=half, uce=full, sdd_strong=other))
    assert found == [Ladder("lora.safetensors", "scale", ((0.0, "original"), (0.5, "esd"), (1.0, "uce")))]
    none = {"path": "/x/lora.safetensors", "scale": 0.0}
    (own,) = ladders(laddered(run, [], esd=half, uce=none))
    assert own.steps == ((0.0, "uce"), (0.5, "esd"))
    strength = part(laddered(run, [], esd=half, uce=full), "Strength")
    titles = [chart.title for chart in strength.charts]
    assert titles == ["Concept rate by lora.safetensors’s scale", "SSIM by lora.safetensors’s scale"]
    assert [len(chart.series[0].marks) for chart in strength.charts] == [3, 2]  # the original has no SSIM to itself
    rates = falling(strength.charts[0])
    assert rates == sorted(rates)  # more of it leaves less of the concept: lines go down the page


def falling(chart: Chart) -> list[float]:
    return [y for _, y, _, _ in chart.series[0].marks]


def test_a_guides_number_and_a_methods_usual_row_are_on_the_ladder(run: OpenRun, tmp_path: Path) -> None:
    weak, strong = (
        {"method": "esd", "guide": "sld", "guide_settings": {"guidance": scale}} for scale in (200.0, 2000.0)
    )
    (found,) = ladders(laddered(run, [], a=weak, b=strong))
    assert found == Ladder("esd+sld", "sld.guidance", ((200.0, "a"), (2000.0, "b")))
    folder = stored_run(tmp_path / "run", prompts=1)
    write_json(folder.erasure("esd", 0), {"config": {"steps": 50, "lr": 0.1}})
    more = laddered(open_run(folder.root), ["esd"], a={"method": "esd", "settings": {"steps": 100}})
    assert ladders(more) == [Ladder("esd", "steps", ((50.0, "esd"), (100.0, "a")))]
    assert ladders(laddered(run, ["esd"], a={"method": "esd", "settings": {"steps": 100}})) == []  # nobody knows


def test_how_it_was_made_has_the_command_seeds_and_plan(run: OpenRun) -> None:
    facts = {fact.term: fact for chapter in how_it_was_made(run) for fact in chapter.facts}
    assert facts["Command"].code == "bench"
    assert facts["Status"].texts == ("complete",)
    assert facts["Seeds"].texts == ("trainings 0, 1; image noise 0",)
    assert facts["plan.yaml"].code == run.plan.to_yaml()
    assert any("closed form, no seed changes it" in text for text in facts["UCE"].texts)
    assert any("training seeds 0, 1" in text for text in facts["ESD"].texts)


def test_a_failures_traceback_is_in_the_page(run: OpenRun, tmp_path: Path) -> None:
    failure = run.record.failures[0].model_copy(
        update={"traceback": 'Traceback\n  File "x.py", line 7\nValueError: <b>'}
    )
    failed = replace(run, record=run.record.model_copy(update={"failures": (failure,)}))
    text = write_page([failed], tmp_path / "report.html", budget=0).read_text(encoding="utf-8")
    assert f"<summary>{failure.cell}: no memory</summary>" in text
    assert "File &#34;x.py&#34;, line 7\nValueError: &lt;b&gt;</pre>" in text
