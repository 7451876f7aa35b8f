"""Tuning: every method has the same budget, and what loses early is not tried on."""

import re
from pathlib import Path

import pytest

from erasebench.develop import tuning
from erasebench.develop.tuning import BUDGET, STEPS, criterion, grid, tune, tuning_plan
from erasebench.errors import BenchError
from erasebench.registry import METHODS
from erasebench.runs.folder import RunFolder
from erasebench.runs.plan import Plan

TRAINED = [name for name in METHODS.names() if METHODS.load(name).guide is None]


@pytest.mark.parametrize("name", TRAINED)
def test_every_method_has_the_same_budget(name: str) -> None:
    settings = grid(METHODS.load(name), name)
    assert len(settings) == (BUDGET if "lr" in settings[0] else BUDGET * len(STEPS))
    assert len(tuning_plan([name], "cat").variants) == len(settings)
    for one in settings:
        METHODS.load(name).configure("mini", "object", one)


def test_the_reported_concepts_are_not_tuned_on_and_nothing_is_slow_on_a_cpu() -> None:
    plan = tuning_plan(["esd"], "cat")
    assert not {"nudity", "garbage truck", "van gogh"} & set(tuning.CONCEPTS)
    assert plan.generation.precision == "auto"
    assert plan.prompts["concept"].source == "direct"


class _Runs:
    """Stands for training: scores by learning rate, from a run's folder and a row."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, best: float, lost: str = "") -> None:
        self.plans: list[tuple[str, Plan]] = []
        self.best, self.lost = best, lost
        monkeypatch.setattr(tuning, "_scores", self.scores)

    def __call__(self, plan: Plan, name: str) -> RunFolder:
        self.plans.append((name, plan))
        return RunFolder(Path(name))

    def scores(self, folder: RunFolder, row: str) -> dict[str, float] | None:
        if self.lost and self.lost in row:
            return None
        value = float(re.search(r"-([0-9.]+(e-?[0-9]+)?)", row).group(1))  # type: ignore[union-attr]
        kept = 1 / (1 + abs(value - self.best))
        return {"concept_rate": 0.0, "ssim": kept, "criterion": criterion(0.0, kept), "n": tuning.IMAGES}


def test_the_better_half_and_then_a_quarter_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = _Runs(monkeypatch, best=0.01)
    table = tune(["esd", "uce", "sld"], ["cat", "french horn"], runs)
    assert [name.rpartition("-")[0] for name, _ in runs.plans] == [
        "tuning-1-cat",
        "tuning-2-french-horn",
        "tuning-3-cat",
        "tuning-3-french-horn",
    ]
    assert [(plan.concept, plan.seeds) for _, plan in runs.plans][1:3] == [("french horn", [0]), ("cat", [1])]
    esd = [sum(variant.method == "esd" for variant in plan.variants.values()) for _, plan in runs.plans]
    assert esd == [12, 6, 3, 3]
    assert [len(plan.variants) for _, plan in runs.plans] == [36, 18, 9, 9]
    chosen = table[table["chosen"]].set_index("method")
    assert list(chosen.index) == ["esd", "uce"]
    assert (chosen.loc["esd", "value"], chosen.loc["esd", "steps"]) == (0.01, STEPS[0])
    assert chosen.loc["esd", ["trainings", "n"]].tolist() == [4, 4 * tuning.IMAGES]
    assert table["trainings"].value_counts().to_dict() == {1: 24, 2: 12, 4: 12}


def test_what_failed_is_not_chosen_and_a_method_without_scores_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    table = tune(["esd"], ["cat"], _Runs(monkeypatch, best=0.01, lost="esd-0.01"))
    assert table.loc[table["chosen"], "value"].item() == 0.0066
    assert table.loc[table["value"] == 0.01, "criterion"].isna().all()
    with pytest.raises(BenchError, match="sdd: none of the settings that were tried last gave scores"):
        tune(["esd", "sdd"], ["cat"], _Runs(monkeypatch, best=0.01, lost="sdd"))
    with pytest.raises(BenchError, match="there is no grid"):
        tune(["sld"], ["cat"], _Runs(monkeypatch, best=0.01))
