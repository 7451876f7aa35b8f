"""Purifying real images: beside its controls, kept, resumed, and what can't be read is named."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from erasebench import BenchError, TextToImage, read_image
from erasebench.develop.mini.world import Scene, Thing, render
from erasebench.engine.purify import purify_run
from erasebench.engine.run import run
from erasebench.images.files import write_png
from erasebench.runs.folder import RunFolder
from erasebench.runs.plan import Generation, Plan
from erasebench.runs.purification import PurifyRequest, read_purified
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


def pictures(folder: Path, concept: str, count: int) -> Path:
    for seed in range(count):
        write_png(folder / f"{concept}-{seed}.png", render(Scene((Thing(concept, "green"),), "plain", None, seed)))
    return folder


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunFolder, PurifyRequest]:
    root = tmp_path_factory.mktemp("purified")
    folder = RunFolder(root / "run")
    assert run(PLAN, folder, "cpu") == ()
    images = pictures(root / "images", "garbage truck", 3)
    (images / "torn.png").write_bytes(b"torn")
    others = pictures(root / "others", "cat", 2)
    request = PurifyRequest(images=images, others=others, rows=("uce",), strengths=(0.2, 1.0), steps=8)
    return folder, request


def test_everything_is_made_once(finished: tuple[RunFolder, PurifyRequest], monkeypatch: pytest.MonkeyPatch) -> None:
    folder, request = finished
    drawn: list[int] = []
    record = purify_run(folder, request, "cpu", drawn.append)
    assert drawn == [2 * (3 * 2 * 2 + 2 * 2) + 3 * 2]  # by the original and uce, and uce by itself
    ways = {(cell.row, cell.inverter, cell.source, cell.asked) for cell in record.cells}
    assert ways == {
        ("original", "original", "concept", "nothing"),
        ("original", "original", "concept", "concept"),
        ("original", "original", "others", "nothing"),
        ("uce", "original", "concept", "nothing"),
        ("uce", "original", "concept", "concept"),
        ("uce", "original", "others", "nothing"),
        ("uce", "uce", "concept", "nothing"),
    }
    assert [image.seen for image in record.before] == [1.0, 1.0, 1.0]
    assert record.unreadable == record.unreadable[:1]
    assert record.unreadable[0].startswith("torn.png")
    table = pd.read_csv(folder.root / "purify.csv")
    assert len(table) == len(record.cells) == 14
    weak, strong = (table[table["strength"] == strength]["ssim"].mean() for strength in (0.2, 1.0))
    assert weak > strong
    page = read_image(folder.root / "purified" / "uce.png")
    assert isinstance(page, np.ndarray)
    assert page.shape[0] > (1 + 2 * 5) * 80
    assert len(list((folder.root / "purified").glob("uce/*/*.png"))) == 3 * 2 * 3 + 2 * 2
    assert look(Store(folder.store)).unused == []
    monkeypatch.setattr(TextToImage, "invert", None)  # nothing is inverted again
    assert purify_run(folder, request, "cpu") == record == read_purified(folder)


def test_what_was_interrupted_goes_on_to_the_same(
    finished: tuple[RunFolder, PurifyRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, request = finished
    wanted = purify_run(folder, request, "cpu")
    store, inverted, calls = Store(folder.store), TextToImage.invert, []
    for key in {cell.key for cell in wanted.cells}:
        store.drop("purified", key)

    def stopped(self: TextToImage, *arguments: object, **options: object) -> object:
        calls.append(1)
        if len(calls) > 3:
            raise KeyboardInterrupt
        return inverted(self, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(TextToImage, "invert", stopped)
    with pytest.raises(KeyboardInterrupt):
        purify_run(folder, request, "cpu")
    monkeypatch.setattr(TextToImage, "invert", inverted)
    assert purify_run(folder, request, "cpu") == wanted


def test_what_is_wrong_is_said(finished: tuple[RunFolder, PurifyRequest], tmp_path: Path) -> None:
    folder, request = finished
    (tmp_path / "a.png").write_bytes(b"torn")
    for images in (tmp_path, tmp_path / "absent"):
        with pytest.raises(BenchError, match=r"--images .*no folder with an image that can be read"):
            purify_run(folder, request.model_copy(update={"images": images}), "cpu")
    with pytest.raises(BenchError, match=r"--strengths 0\.01: less than one of 8 steps"):
        purify_run(folder, request.model_copy(update={"strengths": (0.01,)}), "cpu")
    with pytest.raises(BenchError, match="is no run's folder"):
        purify_run(RunFolder(tmp_path), request, "cpu")
