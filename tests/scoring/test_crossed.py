"""Intervals over trainings and prompts, and paired tests: against definitions, and their stated error rates."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest, norm, ttest_1samp
from scipy.stats import t as student

from erasebench.scoring.crossed import clopper_pearson, effective_size, mean_variance
from erasebench.scoring.statistics import combine_set_scores, estimate, holm, paired, paired_set_scores, sign_flip_p

TRIALS = 4000


def rows(matrix: np.ndarray) -> tuple[list[float], list[str], list[int]]:
    """(trainings, prompts) or (trainings, prompts, images) as values, clusters and seeds."""
    cube = matrix.reshape(*matrix.shape[:2], -1)
    seed, prompt, _ = np.indices(cube.shape)
    return list(cube.ravel()), [f"p{k}" for k in prompt.ravel()], [int(s) for s in seed.ravel()]


def test_nothing_of_96_over_32_prompts() -> None:
    found = estimate(*rows(np.zeros((3, 32))), rate=True)
    assert found is not None
    assert (found.value, found.low, found.n, found.clusters, found.seeds) == (0, 0, 96, 32, 3)
    assert found.high == pytest.approx(1 - 0.025 ** (1 / 32))  # Clopper and Pearson's for 0 of 32
    assert f"[{found.low:.2f}, {found.high:.2f}]" == "[0.00, 0.11]"
    assert found.covers == "3 trainings × 32 prompts"
    everything = estimate(*rows(np.ones((3, 32))), rate=True)
    assert everything is not None
    assert (everything.low, everything.high) == (pytest.approx(0.025 ** (1 / 32)), 1)


def test_trainings_that_scatter_widen_the_interval() -> None:
    """Three trainings at 0.5, 0.97 and 0.97 of 32 prompts are no 0.81 [0.76, 0.86]."""
    found = estimate(*rows(np.stack([np.arange(32) % 2, np.arange(32) > 0, np.arange(32) > 0]).astype(float)), True)
    assert found is not None
    assert found.low is not None
    assert found.high is not None
    assert found.high - found.low > 0.5
    assert found.freedom == pytest.approx(2, abs=0.3)


def test_the_variance_is_that_of_the_definition() -> None:
    rng = np.random.default_rng(0)
    cells = rng.standard_normal((3, 1)) + rng.standard_normal((1, 8)) + rng.standard_normal((3, 8))
    variance, freedom = mean_variance(cells)
    mean, seed, prompt = cells.mean(), cells.mean(1), cells.mean(0)
    ms = 8 * seed.var(ddof=1), 3 * prompt.var(ddof=1), ((cells - seed[:, None] - prompt + mean) ** 2).sum() / 14
    assert variance == pytest.approx((ms[0] + ms[1] - ms[2]) / 24)
    assert freedom == pytest.approx((ms[0] + ms[1] - ms[2]) ** 2 / (ms[0] ** 2 / 2 + ms[1] ** 2 / 7 + ms[2] ** 2 / 14))


@pytest.mark.parametrize("trainings", [3, 5])
def test_trainings_that_do_not_scatter_cost_nothing(trainings: int) -> None:
    cells = np.broadcast_to(np.arange(12.0), (trainings, 12))
    variance, freedom = mean_variance(cells)
    assert (variance, freedom) == pytest.approx((13 / 12, 11))  # the variance of 0 to 11 is 13


def test_one_training_is_a_t_interval_over_prompts() -> None:
    values = np.random.default_rng(1).standard_normal(20)
    found = estimate(list(values), [f"p{k}" for k in range(20)], [0] * 20)
    theirs = ttest_1samp(values, 0).confidence_interval()
    assert found is not None
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high))
    assert found.covers == "this training only, 20 prompts"
    original = estimate(list(values), [f"p{k}" for k in range(20)], [None] * 20)
    assert original is not None
    assert (original.low, original.covers) == (pytest.approx(theirs.low), "20 prompts")
    assert estimate(*rows(np.eye(2, 20))).covers == "these 2 trainings only, 20 prompts"  # type: ignore[union-attr]


def test_copies_of_a_prompt_add_nothing() -> None:
    """A closed form trains to the same weights from every seed; ten equal images of a prompt are one."""
    once = np.random.default_rng(2).integers(0, 2, (1, 30)).astype(float)
    for rate in (False, True):
        single = estimate(*rows(once), rate)
        assert single is not None
        for copies in (np.repeat(once, 3, 0), np.repeat(once[..., None], 10, 2)):
            found = estimate(*rows(copies), rate)
            assert found is not None
            assert (found.low, found.high) == pytest.approx((single.low, single.high), abs=0.01)


def test_missing_and_unequal_cells() -> None:
    rng = np.random.default_rng(3)
    values, clusters, seeds = rows(rng.standard_normal((3, 20)))
    whole = estimate(values, clusters, seeds)
    lost: list[float | None] = [None if k in (4, 50) else value for k, value in enumerate(values)]
    found = estimate(lost, clusters, seeds)
    assert found is not None
    assert whole is not None
    assert found.n == 58
    assert found.value == pytest.approx(np.mean([value for value in lost if value is not None]))
    assert found.error == pytest.approx(whole.error, rel=0.1)
    # A prompt with more images weighs more: the linearised ratio estimator.
    sums, counts = np.array([3.0, 1.0, 2.0, 4.0]), np.array([4, 1, 2, 5])
    unequal = estimate(
        [float(k < s) for s, n in zip(sums, counts, strict=True) for k in range(n)],
        [f"p{k}" for k, n in enumerate(counts) for _ in range(n)],
        [0] * 12,
    )
    residuals = sums - sums.sum() / 12 * counts
    assert unequal is not None
    assert unequal.error == pytest.approx(np.sqrt(4 / 3 * (residuals**2).sum()) / 12)


def test_where_there_is_no_interval() -> None:
    assert estimate([None, None], ["a", "b"], [0, 0]) is None
    one = estimate([1.0, 0.0, 1.0], ["a"] * 3, [0, 1, 2], rate=True)
    assert one is not None
    assert (one.value, one.low, one.high, one.error) == (pytest.approx(2 / 3), None, None, None)
    assert one.covers == "no interval: one of prompts"
    equal = estimate([0.1] * 9, [f"p{k}" for k in range(9)], [0] * 9)
    assert equal is not None
    assert (equal.value, equal.low) == (pytest.approx(0.1), None)


def simulated(trainings: int, prompts: int, trial: np.random.Generator, sd: tuple[float, float, float]) -> np.ndarray:
    """Normal values (TRIALS, trainings, prompts): spread of trainings, prompts and residual; the mean is 0."""
    return (
        sd[0] * trial.standard_normal((TRIALS, trainings, 1))
        + sd[1] * trial.standard_normal((TRIALS, 1, prompts))
        + sd[2] * trial.standard_normal((TRIALS, trainings, prompts))
    )


@pytest.mark.parametrize("trainings", [1, 3, 5])
@pytest.mark.parametrize("between", [0.0, 0.05, 0.2, 1.0])
@pytest.mark.parametrize("prompts", [5, 32, 96])
def test_intervals_of_means_cover(trainings: int, between: float, prompts: int) -> None:
    """Nominally 95 %; with one training the target is that training's own expected value."""
    rng = np.random.default_rng(trainings + prompts)
    own = between * rng.standard_normal((TRIALS, trainings, 1))
    cells = own + simulated(trainings, prompts, rng, (0.0, 0.4, 0.4))
    target = own[:, 0, 0] if trainings == 1 else 0.0
    variance, freedom = mean_variance(cells)
    half = student.ppf(0.975, freedom) * np.sqrt(variance)
    assert (np.abs(cells.mean((1, 2)) - target) <= half).mean() >= 0.92
    found = estimate(*rows(cells[0]))
    assert found is not None
    assert found.high == pytest.approx(cells[0].mean() + half[0])


@pytest.mark.parametrize("trainings", [1, 3, 5])
@pytest.mark.parametrize("rate", [0.0, 0.01, 0.1, 0.5])
@pytest.mark.parametrize(("between", "within"), [(0.0, 0.0), (0.02, 0.5), (0.2, 0.2)])
def test_intervals_of_rates_cover(trainings: int, rate: float, between: float, within: float) -> None:
    """The concept is found where a normal latent falls below a quantile; these shares of its variance are shared.

    With one training the target is that training's own expected rate.
    """
    rng, prompts = np.random.default_rng(int(1000 * rate) + trainings), 32
    own = np.sqrt(between) * rng.standard_normal((TRIALS, trainings, 1))
    cells = own + simulated(trainings, prompts, rng, (0.0, within**0.5, (1 - between - within) ** 0.5))
    values = (cells < norm.ppf(rate)).astype(float)
    target = norm.cdf((norm.ppf(rate) - own[:, 0, 0]) / np.sqrt(1 - between)) if trainings == 1 else rate
    mean = values.mean((1, 2))
    variance, freedom = mean_variance(values - mean[:, None, None])
    size = effective_size(mean, variance, freedom, trainings * prompts, prompts)
    low, high = clopper_pearson(mean, size)
    assert ((low <= target) & (target <= high)).mean() >= 0.92
    for k in range(5):
        found = estimate(*rows(values[k]), rate=True)
        assert found is not None
        assert (found.low, found.high) == pytest.approx((low[k], high[k]))


def null_pairs(trainings: int, binary: bool, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Two rows that differ by chance alone, (trainings, 24 prompts); a single training is given, and adds nothing."""
    cells = [
        0.3 * (trainings > 1) * rng.standard_normal((trainings, 1))
        + 0.5 * prompt
        + 0.5 * rng.standard_normal((trainings, 24))
        for prompt in (rng.standard_normal((1, 24)), rng.standard_normal((1, 24)))
    ]
    first, second = ((cell < -0.8).astype(float) if binary else cell for cell in cells)
    return first, second


@pytest.mark.parametrize("trainings", [1, 3, 5])
@pytest.mark.parametrize("binary", [False, True])
def test_null_comparisons_seldom_alarm(trainings: int, binary: bool) -> None:
    """At most 5 % of p-values are 0.05 or less."""
    rng, alarms, trials = np.random.default_rng(11), 0, 200
    for _ in range(trials):
        a, b = null_pairs(trainings, binary, rng)
        values, clusters, seeds = rows(a)
        found = paired(values, rows(b)[0], clusters, seeds)
        assert found is not None
        alarms += found.p <= 0.05
    assert binomtest(alarms, trials, 0.05, alternative="greater").pvalue > 0.01


def test_columns_of_equal_rows_alarm_no_more_than_stated() -> None:
    """Holm over ten tests: any false alarm in at most 5 % of tables."""
    rng = np.random.default_rng(12)
    alarms = sum(min(holm(list(rng.random(10)))) <= 0.05 for _ in range(2000))
    assert binomtest(alarms, 2000, 0.05, alternative="greater").pvalue > 0.01


def test_sign_flips_are_counted_exactly() -> None:
    """Whole sums by convolution, few real ones one by one, many at random: the same answer."""
    rng = np.random.default_rng(13)
    whole = rng.integers(-3, 5, 12).astype(float)
    flips = np.array(np.meshgrid(*[[-1, 1]] * 12)).reshape(12, -1)
    expected = (np.abs(whole @ flips) >= abs(whole.sum())).mean()
    assert sign_flip_p(whole) == pytest.approx(expected)
    assert sign_flip_p(whole + 1e-6 * rng.standard_normal(12)) == pytest.approx(expected, abs=0.05)
    many = rng.standard_normal(40) + 0.4
    assert sign_flip_p(many) == pytest.approx(ttest_1samp(many, 0).pvalue, abs=0.02)
    assert sign_flip_p(many + 5) < 1e-5  # more flips where few reach the sum
    assert sign_flip_p(np.zeros(5)) == 1


def test_mcnemar_is_the_exact_binomial_test() -> None:
    a, b = [1.0] * 12 + [0.0] * 3 + [1.0] * 5, [0.0] * 12 + [1.0] * 3 + [1.0] * 5
    prompts = [f"p{k}" for k in range(20)]
    found = paired(a, b, prompts, [0] * 20)
    assert found is not None
    assert found.test == "McNemar, exact"
    assert found.p == pytest.approx(binomtest(12, 15).pvalue)
    same = paired(a, a, prompts, [0] * 20)
    assert same is not None
    assert (same.p, same.value) == (1, 0)
    assert same.low is not None
    assert same.low < 0 < (same.high or 0)  # no discordant pair among 20 is no proof of equality
    half = [f"p{k // 2}" for k in range(20)]
    assert paired(a, b, half, [0] * 20).test == "sign flips over 10 prompts"  # type: ignore[union-attr]
    assert paired(a, b, ["p"] * 20, [0] * 20) is None


def test_set_scores_of_means_are_means() -> None:
    """A set's score that is a mean: the jackknife and the crossed layout of groups agree."""
    rng = np.random.default_rng(14)
    for trainings in (1, 3):
        cells = (
            rng.standard_normal((trainings, 1)) + rng.standard_normal((1, 20)) + rng.standard_normal((trainings, 20))
        )
        left_out = (cells.sum(1, keepdims=True) - cells) / 19
        values = dict(enumerate(cells.mean(1)))
        found = combine_set_scores(values, dict(enumerate(left_out.tolist())), 20 * trainings)
        direct = estimate(*rows(cells))
        assert direct is not None
        assert (found.value, found.low, found.high) == pytest.approx((direct.value, direct.low, direct.high))
    assert found.covers == "3 trainings × 20 groups of prompts"
    assert combine_set_scores({None: 1.0}, {None: ()}, 9).low is None
    nothing = dict.fromkeys(values, 0.0)
    apart = paired_set_scores(
        values, nothing, dict(enumerate(left_out.tolist())), dict.fromkeys(values, [0.0] * 20), 60
    )
    assert apart is not None
    assert (apart.value, apart.low) == pytest.approx((found.value, found.low))
