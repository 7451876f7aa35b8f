"""Intervals and paired tests: against their definitions, SciPy, and their stated error rates."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, bootstrap, ttest_rel

from erasebench.scoring.statistics import (
    bootstrap_interval,
    jackknife_difference,
    jackknife_error,
    jackknife_interval,
    paired_difference,
    resampled_means,
)


@given(st.lists(st.tuples(st.floats(-1, 1), st.sampled_from("abcdef")), min_size=1, max_size=40))
def test_intervals_hold_the_mean(pairs: list[tuple[float, str]]) -> None:
    values, prompts = [v for v, _ in pairs], [p for _, p in pairs]
    result = bootstrap_interval(values, prompts)
    assert result is not None
    mean, low, high, n = result
    assert n == len(pairs)
    assert mean == pytest.approx(np.mean(values))
    assert min(values) - 1e-9 <= low <= high <= max(values) + 1e-9


def test_intervals_resample_prompts_not_images() -> None:
    rng = np.random.default_rng(0)
    per_prompt = rng.integers(0, 2, 20).astype(float)
    prompts = [f"p{k}" for k in range(20)]
    once = bootstrap_interval(list(per_prompt), prompts)
    tenfold = bootstrap_interval(list(np.repeat(per_prompt, 10)), list(np.repeat(prompts, 10)))
    assert once is not None
    assert tenfold is not None
    assert tenfold[:3] == pytest.approx(once[:3])


def test_an_interval_agrees_with_the_normal_one() -> None:
    rng = np.random.default_rng(1)
    values = rng.standard_normal(1000)
    result = bootstrap_interval(list(values), [str(k) for k in range(1000)])
    assert result is not None
    half = 1.96 * values.std() / np.sqrt(1000)
    assert (result[2] - result[1]) / 2 == pytest.approx(half, rel=0.06)


def test_no_value_no_interval() -> None:
    assert bootstrap_interval([None, None], ["a", "b"]) is None


def test_an_interval_is_scipys() -> None:
    rng = np.random.default_rng(5)
    values = rng.exponential(size=60)
    theirs = bootstrap((values,), np.mean, n_resamples=10_000, method="percentile", rng=1).confidence_interval
    mine = bootstrap_interval(list(values), [str(k) for k in range(60)])
    assert mine is not None
    assert mine[1:3] == pytest.approx((theirs.low, theirs.high), abs=0.02)


def test_resampling_takes_whole_prompts() -> None:
    """Two prompts of unlike sizes: a mean over images is one of three."""
    means = resampled_means([1.0, 1.0, 1.0, 0.0], ["a", "a", "a", "b"])
    assert set(means) == {1.0, 0.75, 0.0}
    assert (means == 0.75).mean() == pytest.approx(0.5, abs=0.02)


def test_intervals_cover_as_often_as_they_say() -> None:
    rng = np.random.default_rng(2)
    prompts = [f"p{k // 2}" for k in range(120)]
    hits = 0
    for trial in range(200):
        values = np.repeat(rng.standard_normal(60), 2) + 0.5 * rng.standard_normal(120)
        interval = bootstrap_interval(list(values), prompts, seed=trial)
        assert interval is not None
        hits += interval[1] <= 0 <= interval[2]
    assert binomtest(hits, 200, 0.95).pvalue > 1e-3


def test_mcnemar_is_the_exact_binomial_test() -> None:
    a = [1.0] * 12 + [0.0] * 3 + [1.0] * 5
    b = [0.0] * 12 + [1.0] * 3 + [1.0] * 5
    found = paired_difference(a, b, [str(k) for k in range(20)])
    assert found is not None
    assert found.test == "McNemar, exact"
    assert found.p == pytest.approx(binomtest(12, 15).pvalue)
    assert (found.value, found.n) == (pytest.approx(9 / 20), 20)
    assert paired_difference(a, a, [str(k) for k in range(20)]).p == 1
    # Several images of a prompt are no independent pairs: the bootstrap takes over.
    assert "bootstrap" in paired_difference(a, b, [str(k // 2) for k in range(20)]).test


def test_a_paired_difference_finds_what_a_t_test_finds() -> None:
    rng = np.random.default_rng(3)
    base = rng.standard_normal(80)
    for shift in (0.0, 0.05, 0.3):
        a, b = base + shift + 0.2 * rng.standard_normal(80), base
        found = paired_difference(list(a), list(b), [str(k) for k in range(80)])
        assert found.p == pytest.approx(ttest_rel(a, b).pvalue, abs=0.05)
        assert (found.low > 0) == (found.p < 0.05) or found.value < 0


def test_paired_tests_seldom_see_what_is_not_there() -> None:
    rng = np.random.default_rng(4)
    alarms = 0
    for _ in range(200):
        a, b = rng.standard_normal((2, 50))
        alarms += paired_difference(list(a), list(b), [str(k) for k in range(50)]).p < 0.05
    assert binomtest(alarms, 200, 0.05).pvalue > 1e-3


def test_a_few_prompts_say_nothing() -> None:
    assert paired_difference([1.0, 0.9], [0.8, 0.8], ["p", "p"]) is None


def test_a_jackknife_of_means_has_the_standard_error_of_the_mean() -> None:
    rng = np.random.default_rng(6)
    values = rng.standard_normal(40)
    left_out = [np.delete(values, k).mean() for k in range(40)]
    assert jackknife_error(left_out) == pytest.approx(values.std(ddof=1) / np.sqrt(40))
    low, high = jackknife_interval(values.mean(), left_out)
    assert low < values.mean() < high


def test_a_jackknife_difference_is_paired() -> None:
    """What both rows share leaves their difference."""
    rng = np.random.default_rng(7)
    shared, noise = rng.standard_normal(20), 1e-3 * rng.standard_normal(20)
    found = jackknife_difference(1.01, 1.0, list(shared + noise), list(shared), 100)
    assert found.p < 0.3
    assert found.high - found.low < 0.05
    same = jackknife_difference(1.0, 1.0, list(shared), list(shared), 100)
    assert (same.value, same.low, same.high, same.p) == (0, 0, 0, 1)
