"""Which of two concepts wins: made once, resumed, the same noise for all, and what can't be set against another."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from erasebench import BenchError, TextToImage, read_image
from erasebench.engine.dominance import dominance_run
from erasebench.engine.run import run
from erasebench.report.dominance import rankings
from erasebench.runs.dominance import DominanceRequest, read_dominance
from erasebench.runs.folder import RunFolder
from erasebench.runs.plan import Generation, Plan
from erasebench.runs.store_use import look
from erasebench.storage.store import Store

pytestmark = pytest.mark.slow

PLAN = Plan(
    methods=["uce"],
    metrics=["concept_rate"],
    concept="garbage truck",
    images=2,
    generation=Generation(scheduler="dpm++", steps=8),
)
REQUEST = DominanceRequest(concepts=("garbage truck", "cat", "house"), rows=("uce",), images=2)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    folder = RunFolder(tmp_path_factory.mktemp("duels") / "run")
    assert run(PLAN, folder, "cpu") == ()
    return folder


def test_everything_is_made_once_and_goes_on_after_an_interruption(
    finished: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[int] = []
    record = dominance_run(finished, REQUEST, "cpu", begun.append)
    assert begun == [2 * 6 * 2]
    assert [(cell.row, len(cell.duels)) for cell in record.cells] == [("original", 12), ("uce", 12)]
    table = pd.read_csv(finished.root / "dominance.csv")
    assert len(table) == 2 * 3
    stored = read_dominance(finished)
    assert stored is not None
    assert list(rankings(stored)) == ["original", "uce"]  # though a file sorts its keys
    assert table["alone"].add(table["both"]).add(table["other"]).add(table["neither"]).eq(1).all()
    truck = table[table["concept"] == "garbage truck"].set_index("row")
    assert (
        truck.loc["uce", "alone"] + truck.loc["uce", "both"]
        < truck.loc["original", "alone"] + truck.loc["original", "both"]
    )
    assert isinstance(read_image(finished.root / "dominance.png"), np.ndarray)
    assert len(list((finished.root / "dominance").glob("uce/*.png"))) == 6
    assert "Which of two concepts wins" in finished.page.read_text(encoding="utf-8")
    assert look(Store(finished.store)).unused == []
    drawn, store = TextToImage.denoise, Store(finished.store)
    monkeypatch.setattr(TextToImage, "denoise", None)  # nothing is drawn again
    assert dominance_run(finished, REQUEST, "cpu") == record == read_dominance(finished)
    store.drop("dominance", record.cells[1].key)
    turns: Iterator[int] = iter(range(100))

    def stopped(self: TextToImage, *arguments: object, **options: object) -> object:
        if next(turns) == 3:
            raise KeyboardInterrupt
        return drawn(self, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(TextToImage, "denoise", stopped)
    with pytest.raises(KeyboardInterrupt):
        dominance_run(finished, REQUEST, "cpu")
    monkeypatch.setattr(TextToImage, "denoise", drawn)
    assert dominance_run(finished, REQUEST, "cpu") == record


def test_what_is_wrong_is_said(finished: RunFolder, tmp_path: Path) -> None:
    for name, message in (("van gogh", "a style is no thing"), ("a xyz", "unknown concept")):
        with pytest.raises(BenchError, match=message):
            dominance_run(finished, REQUEST.model_copy(update={"concepts": ("cat", name)}), "cpu")
    with pytest.raises(BenchError, match="is no run's folder"):
        dominance_run(RunFolder(tmp_path), REQUEST, "cpu")
