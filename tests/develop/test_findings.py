"""The committed results' commands exist, go on where they stopped, and what they say is told from intervals alone."""

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import typer
import yaml

from erasebench.cli.app import app
from erasebench.develop import remake as module
from erasebench.develop.findings import (
    NO,
    OPEN,
    SIMILARITIES,
    YES,
    Claim,
    Runs,
    become_one,
    findings,
    keeps_most,
    neutral_in_the_middle,
    penalty_trades,
    picked_words_suffer,
    preserving_pays,
    text_predicts_little,
    write_findings,
)
from erasebench.develop.remake import remake, steps, took
from erasebench.develop.similarity import write_similarities
from erasebench.errors import BenchError
from erasebench.mini.held_out import things
from erasebench.runs.folder import RunFolder
from erasebench.runs.plan import Plan
from erasebench.runs.record import RunRecord, write_record
from erasebench.runs.scores import ImageValue, ScoreRecord, write_score
from erasebench.storage.files import write_json


def a_run(root: Path, name: str, ssim: dict[str, float], rates: dict[str, float]) -> RunFolder:
    """A complete run with scores of 20 prompts and 3 trainings a row."""
    folder, rng = RunFolder(root / name), np.random.default_rng(0)
    rows = ("original", *ssim)
    write_record(folder, RunRecord(status="complete", rows=rows, labels={row: row for row in rows}))
    folder.plan.write_text(yaml.safe_dump(Plan(methods=["esd"], metrics=["ssim"], images=1).model_dump(mode="json")))
    noise = {(k, seed): rng.normal(0, 0.01) for k in range(20) for seed in range(3)}
    for metric, levels, better in (("ssim", ssim, "higher"), ("concept_rate", rates, "lower")):
        for row, level in levels.items():
            values = tuple(
                ImageValue(
                    prompt=f"p{k}", cluster=f"p{k}", sample=0, seed=seed, value=level + shift + rng.normal(0, 0.003)
                )
                for (k, seed), shift in noise.items()
            )
            fields: dict[str, Any] = {"row": row, "metric": metric, "label": metric, "better": better, "value": level}
            write_score(folder.score(row, metric), ScoreRecord(**fields, values=values, n=60))
    return folder


def test_a_claim_is_told_by_its_whole_interval() -> None:
    nothing = float("nan")
    assert [Claim("", 1, low, high, above=0.0).answer for low, high in ((0.1, 2), (-1, 0.5), (-2, -1))] == [
        YES,
        OPEN,
        NO,
    ]
    assert Claim("", 1, nothing, nothing, above=0.0).answer == OPEN
    places = ((30, 60), (10, 60), (60, 90), (0, 20), (80, 99))
    assert [Claim("", 1, low, high, 25, 75).answer for low, high in places] == [YES, OPEN, OPEN, NO, NO]


def test_all_but_one_is_compared_with_what_erases_too(tmp_path: Path) -> None:
    rates = {"all-but-one": 0.01, "esd": 0.0, "ablating": 0.6}
    a_run(tmp_path, "nudity", {"all-but-one": 0.9, "esd": 0.7, "ablating": 0.99}, rates)
    (claim,) = keeps_most(Runs(tmp_path))
    assert (claim.answer, claim.about) == (YES, "SSIM of All but One − esd")
    assert claim.low < 0.2 < claim.high
    a_run(tmp_path, "nudity", {"all-but-one": 0.6, "esd": 0.7, "ablating": 0.99}, rates)
    assert [claim.answer for claim in keeps_most(Runs(tmp_path))] == [NO]
    a_run(tmp_path, "nudity", {"all-but-one": 0.6, "esd": 0.7}, rates | {"all-but-one": 0.3})
    assert not list(keeps_most(Runs(tmp_path)))


def test_the_penalty_trades_where_both_rise(tmp_path: Path) -> None:
    kept = {"lambda-0": 0.9, "lambda-5": 0.9, "full-0": 0.3, "full-50": 0.8}
    a_run(tmp_path, "lambda-sweep", kept, {"lambda-0": 0.1, "lambda-5": 0.1, "full-0": 0.0, "full-50": 0.2})
    assert [claim.answer for claim in penalty_trades(Runs(tmp_path))][2:] == [YES, YES]


def test_preserving_is_compared_where_both_erase(tmp_path: Path) -> None:
    kept = {"preserve-neutral": 0.6, "preserve-road": 0.8, "adversarial": 0.9}
    rates = {"preserve-neutral": 0.0, "preserve-road": 0.02, "adversarial": 0.3}
    a_run(tmp_path, "preserve", kept, rates)
    (claim,) = preserving_pays(Runs(tmp_path))
    assert (claim.answer, claim.about) == (YES, "SSIM of preserve-road − preserve-neutral")
    a_run(tmp_path, "preserve", kept, rates | {"preserve-neutral": 0.2})
    assert not list(preserving_pays(Runs(tmp_path)))


def test_erased_concepts_become_one_where_half_of_their_difference_is_gone(tmp_path: Path) -> None:
    folder = a_run(tmp_path, "several", {"esd": 0.7}, {"esd": 0.0})
    for low, high, answer in ((0.1, 0.4, YES), (0.3, 0.7, OPEN), (0.6, 0.9, NO)):
        fields: dict[str, Any] = {"row": "esd", "metric": "diversity", "label": "Diversity", "better": "higher"}
        fields |= {"value": (low + high) / 2, "low": low, "high": high, "n": 60}
        write_score(folder.score("esd", "diversity"), ScoreRecord(**fields))
        assert [claim.answer for claim in become_one(Runs(tmp_path))] == [answer]
    a_run(tmp_path, "several", {"esd": 0.7}, {"esd": 0.4})
    assert not list(become_one(Runs(tmp_path)))


def test_spectra_tell_of_neutral_prompts_text_and_picked_words(tmp_path: Path) -> None:
    folder = a_run(tmp_path, "nudity", {"esd": 0.7}, {"esd": 0.0})
    told = {
        "concepts": 1000,
        "quantiles": {str(q): q - 1 for q in (0.0, 0.25, 0.5, 0.75, 1.0)},
        "correlation_with_text_similarity": 0.2,
        "named": [
            {"concept": "", "kind": "neutral", "score": -0.5, "standard_error": 0.01, "percentile": 50.0},
            {"concept": "a photo", "kind": "neutral", "score": -0.95, "standard_error": 0.01, "percentile": 5.0},
            *({"concept": f"w{k}", "kind": "adversarial", "percentile": float(k)} for k in range(10)),
        ],
    }
    write_json(folder.root / "spectrum" / "esd.json", told)
    runs = Runs(tmp_path)
    assert [claim.answer for claim in neutral_in_the_middle(runs)] == [YES, NO]
    assert [claim.answer for claim in text_predicts_little(runs)] == [YES]
    assert [claim.answer for claim in picked_words_suffer(runs)] == [YES]
    write_json(folder.root / "spectrum" / "adversarial-preservation.json", told)
    assert [claim.about.split()[-1] for claim in picked_words_suffer(runs)] == ["esd"]  # the other one preserves them
    write_json(folder.root / "spectrum" / "esd.json", told | {"correlation_with_text_similarity": -0.9})
    assert [claim.answer for claim in text_predicts_little(runs)] == [NO]
    rng, names = np.random.default_rng(0), [f"t{k}" for k in range(30)]
    moved = rng.random(30)
    named = [{"concept": name, "kind": "related", "score": -x} for name, x in zip(names, moved, strict=True)]
    write_json(folder.root / "spectrum" / "esd.json", told | {"named": named})
    likeness = {"concept": names, "text": rng.random(30), "image": moved, "keys and values": rng.random(30)}
    pd.DataFrame(likeness).to_csv(tmp_path / SIMILARITIES, index=False)
    _, image, keys = text_predicts_little(runs)
    assert (image.answer, keys.answer) == (YES, OPEN)
    assert "30 things" in image.about


@pytest.mark.slow
def test_similarities_are_of_every_thing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few = {name: things()[name] for name in ("woman", "man", "church", "garbage truck", "bus")}
    monkeypatch.setattr("erasebench.develop.similarity.things", lambda: few)
    write_similarities("garbage truck", tmp_path / "similar.csv", "cpu")
    table = pd.read_csv(tmp_path / "similar.csv").set_index("concept")
    assert sorted(table.index) == ["bus", "church", "man", "woman"]
    assert list(table) == ["text", "keys and values", "image"]
    assert table.abs().le(1.000001).all(axis=None)
    assert table["image"].idxmax() == "bus"


def test_what_was_not_measured_is_said(tmp_path: Path) -> None:
    a_run(tmp_path, "nudity", {"all-but-one": 0.9, "esd": 0.7}, {"all-but-one": 0.0, "esd": 0.0})
    found = {one.letter: one for one in findings(tmp_path)}
    assert list(found) == list("abcdefghi")
    assert (found["a"].answer, found["b"].answer) == (YES, OPEN)
    assert "no run's folder" in found["b"].missing
    write_findings(tmp_path, tmp_path / "findings.md")
    text = (tmp_path / "findings.md").read_text()
    assert "| SSIM of All but One − esd | 0.2 | 0.1" in text
    assert "## (i) Erasing several concepts towards one neutral target makes them one: can't be told" in text


def test_every_steps_commands_exist(tmp_path: Path) -> None:
    for step in steps(tmp_path, tmp_path):
        for name, *words in step.commands:
            command: Any = typer.main.get_command(app).commands[name]  # type: ignore[attr-defined]
            if hasattr(command, "commands"):
                command = command.commands[words.pop(0)]
            options = {text for option in command.params for text in option.opts}
            assert {word for word in words if word.startswith("--")} <= options, name


def test_results_are_made_step_by_step_and_timed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, runs, called = tmp_path / "checkout", tmp_path / "runs", []
    for folder in ("results", "docs"):
        (root / folder).mkdir(parents=True)
    fails = {"on": True}

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        called.append(command[3])
        for source in next(step for step in steps(runs, root) if step.name == "preserve").files.values():
            (runs / source).parent.mkdir(parents=True, exist_ok=True)
            (runs / source).write_text("row\n")
        return subprocess.CompletedProcess(command, int(fails["on"]))

    monkeypatch.setattr(module.subprocess, "run", run)
    said: list[str] = []
    with pytest.raises(BenchError, match=r"`bench run preserve .*goes on from there"):
        remake(["preserve"], runs, root, said.append)
    assert not (root / "results" / "preserve-mini.csv").exists()
    first = json.loads((runs / "remake.json").read_text())["preserve"]
    fails["on"] = False
    (runs / "similarities.csv").write_text("concept,text,image\n")
    remake(["preserve", "findings"], runs, root, said.append)
    assert called == ["run", "run"]
    assert (root / "results" / "preserve-mini.csv").read_text() == "row\n"
    assert "# The papers' findings" in (root / "docs" / "findings.md").read_text()
    assert json.loads((runs / "remake.json").read_text())["preserve"] > first
    assert "never measured" in said[0]
    assert took(root, "preserve") == "0.0 h the last time"
    with pytest.raises(BenchError, match="unknown step 'preserved'"):
        remake(["preserved"], runs, root, said.append)
    with pytest.raises(BenchError, match="no checkout"):
        remake([], runs, tmp_path, said.append)
