"""The grid of the impact function: made once, resumed, and in all three spaces."""

from pathlib import Path

import pytest

from erasebench import BenchError
from erasebench.engine import impact as room
from erasebench.engine.impact import measure_impact
from erasebench.impact.grid import read_grid
from erasebench.runs.folder import RunFolder
from erasebench.runs.plan import Generation, Plan, SpectrumSettings, Variant
from erasebench.runs.store_use import look
from erasebench.storage.store import Store

pytestmark = pytest.mark.slow
THINGS = ["garbage truck", "bus", "cat"]
PLAN = Plan(
    methods=["uce"],
    metrics=["ssim"],
    images=1,
    spectrum=SpectrumSettings(levels=1, draws=2),
    generation=Generation(scheduler="dpm++", steps=4, guidance=5.0),
)


def test_a_grid_is_made_once_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "all_things", lambda family: THINGS)
    folder = RunFolder(tmp_path / "impact")
    measure_impact(PLAN, folder, ["garbage truck"], "cpu")
    table = measure_impact(PLAN, folder, ["garbage truck", "cat"], "cpu")
    assert table[["erased", "other"]].values.tolist() == [[a, b] for a in ("garbage truck", "cat") for b in THINGS]
    assert table[["noise", "noise_error", "image", "judge"]].notna().all(axis=None)
    assert (table["noise"] > 0).all()
    assert table["image"].between(0, 1.2).all()
    assert table["judge"].isin([-1, 0, 1]).all()
    truck = table[table["erased"] == "garbage truck"].set_index("other")["noise"]
    assert truck["garbage truck"] > truck["cat"]
    assert look(Store(folder.store)).unused == []

    def never(*arguments: object) -> None:
        raise AssertionError("it was made already")

    monkeypatch.setattr(room, "erase", never)
    monkeypatch.setattr(room, "draw_concepts", never)
    monkeypatch.setattr(room, "vectors_of", never)
    first = (folder.root / "impact.csv").read_bytes()
    measure_impact(PLAN, folder, ["garbage truck", "cat"], "cpu")
    assert (folder.root / "impact.csv").read_bytes() == first
    pairs, known = read_grid(folder.root)
    assert len(pairs) == 4
    assert known.names == THINGS


def test_rows_that_are_no_training_are_no_grid(tmp_path: Path) -> None:
    plan = PLAN.model_copy(update={"variants": {"theirs": Variant(path="x.safetensors")}})
    with pytest.raises(BenchError, match="a method for each"):
        measure_impact(plan, RunFolder(tmp_path / "impact"), ["cat"], "cpu")
    with pytest.raises(BenchError, match="sld: no weights change"):
        measure_impact(
            PLAN.model_copy(update={"methods": ["uce", "sld"]}), RunFolder(tmp_path / "impact"), ["cat"], "cpu"
        )
