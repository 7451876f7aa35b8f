"""The impact function on made-up concepts: features, learning, held-out scores, what is foretold."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from erasebench.errors import BenchError
from erasebench.impact.foretell import foretell
from erasebench.impact.function import READ, ImpactFunction, Known
from erasebench.impact.grid import GRID, VECTORS, read_grid
from erasebench.impact.held_out import AVERAGE, LEARNED, grid_scores, held_out_scores, recall
from erasebench.impact.likeness import MEASURES, cosines
from erasebench.prompts.concepts import concept_names
from erasebench.report.impact import write_impact
from erasebench.storage.tensors import save_tensors

NAMES = concept_names()[4:34]


def a_world() -> tuple[pd.DataFrame, Known]:
    """δ that depends on the first two components alone, distances in which no cosine sees."""
    random = np.random.default_rng(0)
    scales = np.array([3.0, 2.5, *[1.0] * 8])
    vectors = {measure: random.normal(size=(len(NAMES), 10)) * scales for measure in MEASURES}
    places = vectors["text"][:, :2]
    lines = [
        {
            "row": "uce",
            "training": 0,
            "erased": a,
            "other": b,
            "noise": np.exp(-np.linalg.norm(places[j] - places[k]) / 3),
            "noise_error": 0.01,
            "image": np.nan,
            "judge": np.nan,
        }
        for j, a in enumerate(NAMES)
        for k, b in enumerate(NAMES)
    ]
    return pd.DataFrame(lines), Known(NAMES, vectors)


@pytest.fixture
def grid(tmp_path: Path) -> Path:
    pairs, known = a_world()
    pairs.to_csv(tmp_path / GRID, index=False)
    tensors = {measure: torch.from_numpy(values) for measure, values in known.vectors.items()}
    save_tensors(tmp_path / VECTORS, tensors, {"names": NAMES})
    return tmp_path


def test_of_a_pairs_features_only_where_the_other_lies_depends_on_which_is_erased() -> None:
    _, known = a_world()
    function = ImpactFunction(known)
    there, back = (function.features(known.of(NAMES[a]), [NAMES[b]]) for a, b in ((2, 5), (5, 2)))
    assert there.shape == (1, len(READ) * (2 + 3 * 10))
    for first in (0, 32):  # a measure each
        alike, own = slice(first, first + 22), slice(first + 22, first + 32)
        assert np.allclose(there[:, alike], back[:, alike])
        assert np.allclose(there[:, own], function.features(known.of(NAMES[0]), [NAMES[5]])[:, own])
        assert not np.allclose(there[:, own], back[:, own])
    assert there[0, 0] == pytest.approx(cosines(known.vectors["text"][[5]], known.vectors["text"][2])[0])


def test_what_is_learned_beats_similarity_where_similarity_says_little() -> None:
    pairs, known = a_world()
    scores = held_out_scores(pairs[pairs["erased"] != pairs["other"]], known, "noise")
    assert sorted(scores["erased"].unique()) == sorted(NAMES)  # each held out once
    means = scores.groupby("predictor")[["spearman", "recall"]].mean()
    assert means.loc[LEARNED, "spearman"] > 0.5
    assert means.loc[LEARNED, "spearman"] > means.loc["text", "spearman"] + 0.2
    assert means.loc[LEARNED, "recall"] > means.loc["text", "recall"]
    assert recall(np.arange(20.0), np.arange(20.0)) == 1.0
    assert recall(-np.arange(20.0), np.arange(20.0)) == 0.0
    assert recall(np.arange(20.0), np.eye(20)[3]) is None
    assert means.loc[LEARNED, "spearman"] > means.loc[AVERAGE, "spearman"] + 0.2


def test_an_erased_concept_that_is_held_out_is_not_learned_from() -> None:
    """δ of each concept is the reverse of the others': what is foretold of it is then wrong, never right."""
    pairs, known = a_world()
    mine = pairs["erased"] == NAMES[0]
    pairs.loc[mine, "noise"] = 1 / pairs.loc[mine, "noise"]
    scores = held_out_scores(pairs[pairs["erased"] != pairs["other"]], known, "noise")
    of_mine = scores[(scores["erased"] == NAMES[0]) & (scores["predictor"] == LEARNED)]
    assert of_mine["spearman"].iloc[0] < -0.3


def test_tables_are_written_and_spaces_without_values_left_out(grid: Path) -> None:
    table = write_impact(grid, *grid_scores(*read_grid(grid)))
    assert [label for label, _ in table.rows] == [LEARNED, AVERAGE, *MEASURES]
    assert [column.group for column in table.columns] == ["δ in noise"] * 2
    assert "| f_φ |" in (grid / "impact-function.md").read_text()
    assert {"spearman", "recall", "erased", "predictor", "space"} <= set(pd.read_csv(grid / "impact-function.csv"))


def test_the_words_to_preserve_are_the_nearest_in_what_matters(grid: Path) -> None:
    found = foretell(grid, "Garbage Trucks", "noise", 10, "cpu")
    assert [rank for _, rank in found] == list(range(1, 11))
    pairs, _ = read_grid(grid)
    mine = pairs[pairs["erased"] == "garbage truck"].set_index("other")["noise"]
    assert "garbage truck" not in mine.index
    assert mine[[name for name, _ in found]].mean() > mine.mean() + mine.std() / 2


def test_what_is_wrong_is_said(grid: Path, tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="one of noise, image, judge"):
        foretell(grid, "bus", "pixels", 3, "cpu")
    with pytest.raises(BenchError, match="no other erased concept has a δ in image space"):
        foretell(grid, "bus", "image", 3, "cpu")
    with pytest.raises(BenchError, match="bench impact measure --out"):
        read_grid(tmp_path / "nothing")
    pairs, known = a_world()
    with pytest.raises(BenchError, match="3 erased concepts"):
        held_out_scores(pairs[pairs["erased"].isin(NAMES[:3])], known, "noise")
    (grid / VECTORS).unlink()
    with pytest.raises(BenchError, match="missing or damaged"):
        read_grid(grid)
