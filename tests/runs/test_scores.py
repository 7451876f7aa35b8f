"""A stored score: the same after writing and reading, and nothing in its file that it has not."""

from pathlib import Path

import pytest

from erasebench.errors import BenchError
from erasebench.runs.folder import RunFolder
from erasebench.runs.scores import ImageValue, ScoreRecord, TrainingScore, read_score, read_scores, write_score
from erasebench.storage.files import read_json, write_json

SCORED = ImageValue(prompt="a", cluster="t", sample=0, seed=None, value=0.25)
UNSCORED = ImageValue(prompt="b", cluster="t", sample=1, seed=3, value=None, detail="b-1.png: not readable")
EMPTY = ScoreRecord(row="esd", metric="ssim", label="SSIM", better="higher", reason="not defined for real images")
OF_IMAGES = EMPTY.model_copy(update={"value": 0.25, "n": 1, "values": (SCORED, UNSCORED), "reason": ""})
OF_A_SET = EMPTY.model_copy(
    update={"value": 1.0, "n": 40, "trainings": (TrainingScore(seed=0, value=1.0, replicates=(0.9, 1.1)),)}
)


@pytest.mark.parametrize("record", [EMPTY, OF_IMAGES, OF_A_SET])
def test_a_record_is_read_as_it_was_written(record: ScoreRecord, tmp_path: Path) -> None:
    write_score(tmp_path / "a.json", record)
    assert read_score(tmp_path / "a.json") == record


def test_the_file_holds_what_there_is_and_null_where_a_number_is_missing(tmp_path: Path) -> None:
    write_score(tmp_path / "a.json", EMPTY)
    stored = read_json(tmp_path / "a.json") or {}
    second = {"second", "second_low", "second_high"}
    assert set(stored) == set(ScoreRecord.model_fields) - {"values", "trainings", "parts"} - second
    assert (stored["value"], stored["low"], stored["n"]) == (None, None, 0)
    write_score(tmp_path / "a.json", OF_IMAGES)
    first, second = (read_json(tmp_path / "a.json") or {})["values"]
    assert first == {"prompt": "a", "cluster": "t", "sample": 0, "seed": None, "value": 0.25}
    assert second["detail"] == "b-1.png: not readable"


def test_missing_and_damaged_records_are_absent_and_another_form_is_an_error(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    write_score(folder.score("esd", "ssim"), OF_IMAGES)
    folder.score("uce", "ssim").write_text("{}")
    assert read_scores(folder, ["esd", "uce", "sdd"], ["ssim"]) == {("esd", "ssim"): OF_IMAGES}
    stored = read_json(folder.score("esd", "ssim")) or {}
    write_json(folder.score("esd", "ssim"), stored | {"value": "high"})
    with pytest.raises(BenchError, match=r"esd\.ssim\.json: value: .*number.*run the plan again"):
        read_scores(folder, ["esd"], ["ssim"])
