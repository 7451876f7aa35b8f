"""The jackknife's standard error, against its definition."""

import numpy as np
import pytest

from erasebench.scoring.statistics import jackknife_error


def test_a_jackknife_of_means_has_the_standard_error_of_the_mean() -> None:
    rng = np.random.default_rng(6)
    values = rng.standard_normal(40)
    left_out = [np.delete(values, k).mean() for k in range(40)]
    assert jackknife_error(left_out) == pytest.approx(values.std(ddof=1) / np.sqrt(40))
