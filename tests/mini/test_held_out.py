"""What the package holds of the embedded world belongs to its weights."""

from pathlib import Path

import numpy as np
import pytest

from erasebench.errors import NotApplicable
from erasebench.images.reference import world_reference
from erasebench.mini.held_out import WORLD_DATA, captions, real_captions, real_features, things
from erasebench.mini.kinds import kinds
from erasebench.scoring.judge import Judge
from erasebench.scoring.second_judge import SecondJudge


def test_real_images_are_kept_as_the_packages_judge_sees_them(judge: Judge, tmp_path: Path) -> None:
    features, revision = real_features()
    assert revision == judge.revision
    assert features.shape == (len(real_captions()), judge.width)
    assert np.isfinite(features).all()
    real = world_reference(tmp_path)
    assert real.features(judge) is real.features(judge)
    assert np.array_equal(real.features(judge), features)
    assert len(real.jobs) == 1024
    with pytest.raises(NotApplicable, match="second judge would see in the reference images is not in the package"):
        real.features(SecondJudge("cpu"))


def test_captions_are_of_everyday_things() -> None:
    assert len(captions()) == 8192
    assert not any("nud" in text or "naked" in text for text in (*captions(), *real_captions()))


def test_both_judges_know_the_worlds_things_and_the_tree_has_all(judge: Judge) -> None:
    assert list(things()) == judge.concepts == SecondJudge("cpu").concepts
    assert judge.styles == SecondJudge("cpu").styles
    assert set(things()) <= set(kinds())


def test_the_package_stays_small() -> None:
    assert sum(file.stat().st_size for file in WORLD_DATA.parent.rglob("*") if file.is_file()) < 35e6
