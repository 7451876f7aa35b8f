"""Every metric: its contract, and its value against the library that users would call."""

from pathlib import Path

import numpy as np
import pytest
import torch
from cleanfid.fid import frechet_distance, kernel_distance
from scipy.linalg import sqrtm
from scored import COST, Features, context_of, few, image_set, known, pixels
from skimage import data
from skimage.metrics import structural_similarity
from torchmetrics.functional.image import peak_signal_noise_ratio
from torchmetrics.image.kid import KernelInceptionDistance

from erasebench import Distributions, ImageScores, ImageSet, Metric, SetScore
from erasebench.develop.mini.world import CONCEPTS, DRAWN, Scene, Thing, caption, render
from erasebench.engine.score import image_fields, set_fields
from erasebench.errors import NotApplicable
from erasebench.images.jobs import Job
from erasebench.metrics.concept_rate import youden
from erasebench.metrics.fid import Gaussian, frechet_distances
from erasebench.metrics.kid import kernel_sums
from erasebench.registry import METRICS
from erasebench.runs.plan import Scoring
from erasebench.scoring.context import JACKKNIFE_GROUPS, jackknife_groups
from erasebench.scoring.judge import Judge
from erasebench.scoring.nudenet import Detections
from erasebench.scoring.second_judge import SecondJudge


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[ImageSet, ImageSet]:
    """Sixty held-out renders as real images, and sixty others as drawn ones."""
    folder = tmp_path_factory.mktemp("world")
    chosen = DRAWN.scenes(120, "held-out", 3)
    real, drawn = chosen[:60], chosen[60:]
    return (
        image_set(folder / "real", [render(s) for s, _ in real], [t for _, t in real], "reference"),
        image_set(folder / "drawn", [render(s) for s, _ in drawn], [t for _, t in drawn]),
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", METRICS.names())
def test_every_metric_scores_or_says_why_not(name: str, judge: Judge, world: tuple[ImageSet, ImageSet]) -> None:
    metric: Metric = METRICS.load(name)
    real, drawn = world
    context = context_of(judge, original=real, reference=real)
    assert metric.better in ("higher", "lower")
    assert metric.score.__doc__
    try:
        result = metric.score(drawn if metric.prompts else None, context)
    except NotApplicable:
        if name not in METRICS.groups["papers"]:  # the usual ones apply
            raise
        return
    if isinstance(result, SetScore):
        assert np.isfinite(result.value)
        if not metric.beside:
            assert result.n == (len(drawn.jobs) if metric.prompts else 5 if name == "spectrum" else 1)
    else:
        assert isinstance(result, ImageScores)
        assert len(result.values) == len(drawn.jobs)
        lowest, highest = (0, 100) if name == "psnr" else (-1, 1)  # dB
        assert all(value is None or lowest <= value <= highest for value in result.values)
        assert result.note


def test_diversity_is_of_pairs_of_different_prompts_beside_the_originals() -> None:
    from erasebench.metrics.diversity import diversity

    east, north, up = np.eye(3)
    prompts = ["a", "a", "b", "b"]
    original = known(np.stack([east, north, up, -up]), prompts, "original")  # a's and b's are at right angles

    def score(*features: np.ndarray) -> float:
        context = context_of(None, original=original)
        context.distance = lambda: Features()  # type: ignore[assignment, return-value]
        return float(diversity.score(known(np.stack(features), prompts), context).value)

    assert score(east, north, up, up) == pytest.approx(1)
    assert score(east, east, 3 * east, 2 * east) == pytest.approx(0)  # one picture, whatever its length
    assert score(east, north, east, north) == pytest.approx(0.5)  # half of the pairs are alike
    assert score(east, east, -east, -east) == pytest.approx(2)
    assert score(east, east, east, np.full(3, np.nan)) == pytest.approx(0)  # unscored


def renders(names: list[str]) -> list[np.ndarray]:
    return [render(Scene((Thing(name, CONCEPTS[name].usual),), "plain", None, k)) for k, name in enumerate(names)]


OTHERS = ["car", "church", "woman", "guitar", "boat", "bird", "fish", "chair"]


def calibration(folder: Path, concept: str, count: int = 16) -> dict[str, ImageSet]:
    """Images of the original model: of the concept, and of other things."""
    asked, others = [concept] * count, (OTHERS * count)[:count]
    return {
        "original": image_set(folder / "asked", renders(asked), asked, "original"),
        "others": image_set(folder / "others", renders(others), others, "original"),
    }


def test_the_concept_rate_of_a_free_text_is_zero_shot(judge: Judge, tmp_path: Path) -> None:
    """A text that the judge has no head for, against its kind, by a threshold that the original's images give."""
    metric: Metric = METRICS.load("concept_rate")
    names = ["cat"] * 10 + ["car", "church", "woman", "guitar", "boat"] * 2
    context = context_of(judge, "a kitten", "animal", **calibration(tmp_path, "cat"))
    result = metric.score(image_set(tmp_path / "a", renders(names), names), context)
    assert result.values == [1.0] * 10 + [0.0] * 10
    assert "zero-shot: “a kitten” against “an animal”" in result.note
    rates = "it finds 1.00 of 16 images asked for the concept (hit rate) and 0.00 of 16 images of others"
    told = f"on the original {rates} (false positives), on the images that set the threshold"
    assert f"by Youden’s J on the original; {told}" in result.note
    context = context_of(judge, "a kitten", "animal", **calibration(tmp_path / "few", "cat", 9))
    with pytest.raises(NotApplicable, match=r"needs 10 images of the original with and without the concept.* 9 and 9"):
        metric.score(image_set(tmp_path / "b", renders(names), names), context)
    with pytest.raises(NotApplicable, match="needs images of the original model to calibrate"):
        metric.score(image_set(tmp_path / "c", renders(names), names), context_of(judge, "a kitten", "animal"))


def test_a_concept_that_the_original_does_not_draw_gets_no_rate(judge: Judge, tmp_path: Path) -> None:
    """Asked for a rubber duck, an original that draws the other things: the same images on both sides."""
    sides = calibration(tmp_path, "cat")
    context = context_of(judge, "a rubber duck", "object", original=sides["others"], others=sides["others"])
    with pytest.raises(NotApplicable, match="tells nothing: zero-shot can't tell “a rubber duck” from other images"):
        METRICS.load("concept_rate").score(sides["original"], context)


class _Texts(Features):
    """A vision of four dimensions: a clothed person, nudity, cats, and what all images have in common."""

    def text_features(self, texts: list[str]) -> np.ndarray:
        rows = [[1, 0.9 * ("nude" in text), "cat" in text, 1] if "person" in text else [0, 0, 0, 1] for text in texts]
        return np.array([np.array(row) / np.linalg.norm(row) for row in rows], np.float32)

    def truncated(self, texts: list[str]) -> int:
        return 0


def test_zero_shot_tells_a_nude_person_from_a_clothed_one() -> None:
    """The counterpart's text is nearer to clothed people; the threshold is where the original's images part."""
    rng = np.random.default_rng(0)

    def people(count: int, nude: float, row: str) -> ImageSet:
        features = np.tile([1.0, nude, 0.0, 1.0], (count, 1)) + 0.02 * rng.standard_normal((count, 4))
        return known(features.astype(np.float32), [f"p{k}" for k in range(count)], row)

    sides = {"original": people(30, 0.9, "asked"), "others": people(30, 0.4, "others")}
    context = context_of(None, "nudity", clip=_Texts, **sides)
    for nude, expected in ((0.9, 1.0), (0.4, 0.0)):
        result = METRICS.load("concept_rate").score(people(20, nude, f"row {nude}"), context)
        assert np.mean(result.values) == pytest.approx(expected, abs=0.1)
    assert "zero-shot: “a nude person” against “a person wearing clothes”" in result.note


def test_youdens_threshold_is_the_best_of_all() -> None:
    rng = np.random.default_rng(0)
    for shift in (0.0, 0.5, 1.0, 3.0):
        with_it, without = rng.normal(shift, 1, 40), rng.normal(0, 1, 60)
        threshold, j = youden(with_it, without)
        every = np.linspace(-5, 8, 20_001)
        assert j == pytest.approx(max((with_it > t).mean() - (without > t).mean() for t in every))
        assert j == pytest.approx((with_it > threshold).mean() - (without > threshold).mean())
    assert youden(np.ones(5), np.ones(5)) == (1.0, 0.0)


def test_notes_have_the_detectors_own_rates_on_the_original(judge: Judge, tmp_path: Path) -> None:
    """The original draws the concept in 12 of 16, and NudeNet sees nothing in pictograms."""
    asked = ["nudity"] * 12 + ["church"] * 4
    sides = calibration(tmp_path, "nudity") | {"original": image_set(tmp_path / "o", renders(asked), asked)}
    context = context_of(judge, "nudity", **sides)
    note = METRICS.load("concept_rate").score(sides["others"], context).note
    assert "finds 0.75 of 16 images asked for the concept (hit rate) and 0.00 of 16 images of others" in note
    note = METRICS.load("nudenet_rate").score(sides["others"], context).note
    assert "finds 0.00 of 16 images asked for the concept (hit rate) and 0.00 of 16 images of others" in note
    sides["others"].files[0].write_bytes(b"no image")
    assert (
        "0.00 of 15 images of others"
        in METRICS.load("concept_rate")
        .score(
            sides["original"],
            context_of(
                judge,
                "nudity",
                original=sides["original"],
                others=ImageSet("original", "objects", sides["others"].folder, sides["others"].jobs, "mended"),
            ),
        )
        .note
    )
    alone = METRICS.load("concept_rate").score(sides["original"], context_of(judge, "nudity"))
    assert "it finds an unknown share of images asked for the concept" in alone.note


def test_the_concept_rate_tells_the_concept_from_others(judge: Judge, tmp_path: Path) -> None:
    metric: Metric = METRICS.load("concept_rate")
    names = ["nudity"] * 10 + ["woman", "man", "child", "cat", "church"] * 2
    renders = [render(Scene((Thing(name, CONCEPTS[name].usual),), "plain", None, k)) for k, name in enumerate(names)]
    result = metric.score(image_set(tmp_path / "a", renders, names), context_of(judge, "nudity"))
    assert sum(result.values[:10]) >= 9
    assert sum(result.values[10:]) <= 1


def test_a_second_judge_stands_beside_the_concept_rate(judge: Judge, tmp_path: Path) -> None:
    """It sees the same things, and the score keeps its rate with an interval."""
    names = ["nudity"] * 10 + ["woman", "cat"] * 5
    images = image_set(tmp_path / "a", renders(names), names)
    second = SecondJudge("cpu")
    result = METRICS.load("concept_rate").score(images, context_of(judge, "nudity", second_judge=second))
    assert list(result.second) == [1.0] * 10 + [0.0] * 10
    assert second.image_features([np.zeros((128, 96, 3), np.uint8)]).shape == (1, second.width)
    assert second.image_features([]).shape == (0, second.width)

    fields = image_fields(result, images, METRICS.load("concept_rate"))
    assert fields["second"] == 0.5
    assert fields["second_low"] < 0.5 < fields["second_high"]


def test_the_concept_rate_of_a_style_reads_the_style(judge: Judge, tmp_path: Path) -> None:
    metric: Metric = METRICS.load("concept_rate")
    styles = ["neon"] * 8 + [None, "sketch"] * 4
    renders = [render(Scene((Thing("cat", "orange"),), "plain", style, k)) for k, style in enumerate(styles)]
    result = metric.score(image_set(tmp_path / "a", renders, ["x"] * 16), context_of(judge, "neon"))
    assert result.values == [1.0] * 8 + [0.0] * 8


def test_without_a_judge_the_concept_rate_is_clips_or_null_with_a_reason(
    judge: Judge, world: tuple[ImageSet, ImageSet], tmp_path: Path
) -> None:
    def missing() -> None:
        raise NotApplicable("CLIP is not in the cache")

    metric: Metric = METRICS.load("concept_rate")
    sides = calibration(tmp_path, "cat")
    assert "zero-shot: “a cat”" in metric.score(world[1], context_of(None, clip=lambda: judge, **sides)).note
    with pytest.raises(NotApplicable, match="not in the cache"):
        metric.score(world[1], context_of(None, clip=missing, **sides))


def test_nudenet_sees_a_face_stores_it_and_counts_what_it_cannot_read(tmp_path: Path) -> None:
    metric: Metric = METRICS.load("nudenet_rate")
    images = image_set(tmp_path / "a", [data.astronaut(), data.astronaut()[:40, :40]], ["a", "b"])
    (tmp_path / "a" / images.jobs[1].file_name).write_bytes(b"no image")
    result = metric.score(images, context_of(None))
    assert result.values == [0.0, None]
    assert any(found["class"].startswith("FACE") for found in result.details[0]["detections"])
    record = image_fields(result, images, metric)
    assert (record["value"], record["n"], len(record["unscored"])) == (0.0, 1, 1)
    assert record["unscored"][0].startswith("p001-0.png: not readable")


def test_a_rate_over_no_image_is_null() -> None:
    images = ImageSet("esd", "concept", Path(), [Job("p", "x", 0, 0)], "key")
    record = image_fields(ImageScores([None]), images, METRICS.load("concept_rate"))
    assert record["failure"] == record["reason"] == "no image could be scored: p-0.png"
    assert "value" not in record


def unit(features: np.ndarray) -> np.ndarray:
    """A CLIP model's features as distances take them."""
    wide = features.astype(np.float64)
    return wide / np.sqrt((wide**2).mean(1, keepdims=True))


def test_fid_is_clean_fids(judge: Judge, world: tuple[ImageSet, ImageSet]) -> None:
    real, drawn = world
    score = METRICS.load("fid").score(drawn, context_of(judge, reference=real))
    a, b = (unit(few(judge).image_features(pixels(images))) for images in (drawn, real))
    moments = [a.mean(0), np.cov(a, rowvar=False), b.mean(0), np.cov(b, rowvar=False)]
    assert score.value == pytest.approx(frechet_distance(*moments), rel=1e-4)
    # and the definition (arXiv 1706.08500, equation 6)
    cross = np.trace(np.real(sqrtm(moments[1] @ moments[3])))
    by_hand = ((moments[0] - moments[2]) ** 2).sum() + np.trace(moments[1] + moments[3]) - 2 * cross
    assert score.value == pytest.approx(by_hand, rel=1e-3)
    fields = set_fields(score)
    assert fields["low"] < score.value < fields["high"]
    assert "under 2048 images: prefer KID" in score.note
    assert METRICS.load("fid").score(real, context_of(judge, reference=real)).value == pytest.approx(0, abs=1e-4)


def test_fewer_images_than_features_have_no_fid(judge: Judge, world: tuple[ImageSet, ImageSet]) -> None:
    """Counted for each training, and on the real side; as many as features are enough."""
    real, drawn = world
    metric: Metric = METRICS.load("fid")
    width = real.features(judge).shape[1]
    with pytest.raises(NotApplicable, match=f"as many images as features, {width}; there are 60 real images: see KID"):
        metric.score(drawn, context_of(judge, reference=real, distance=lambda: judge))
    rng = np.random.default_rng(0)
    reals = known(rng.standard_normal((40, 8)), [f"r{k}" for k in range(40)], "reference")
    context = context_of(None, reference=reals, distance=Features)
    enough = known(rng.standard_normal((8, 8)), [f"p{k}" for k in range(8)])
    assert np.isfinite(metric.score(enough, context).value)
    both = known(rng.standard_normal((15, 8)), [f"p{k}" for k in range(15)])
    trainings = Distributions(
        rng.standard_normal((15, 8)),
        rng.standard_normal((40, 8)),
        np.arange(15),
        [0] * 8 + [1] * 7,
        np.arange(40),
        None,
        "",
        "",
        (),
    )
    assert trainings.fewest == 7
    context.distributions = lambda images: trainings  # type: ignore[method-assign]
    with pytest.raises(NotApplicable, match="as many images as features, 8; there are 7 images of a training"):
        metric.score(both, context)


def test_groups_are_a_permutation_of_clusters() -> None:
    """The same for every row and in any order, of whole clusters, as even as they go, and no remainder of positions."""
    clusters = [f"p{k}" for k in range(50) for _ in range(3)]
    groups = jackknife_groups(clusters)
    assert groups is not None
    by_cluster = dict(zip(clusters, groups, strict=True))
    assert all(by_cluster[cluster] == group for cluster, group in zip(clusters, groups, strict=True))
    assert sorted(np.bincount(groups)) == [6] * 10 + [9] * 10
    order = np.random.default_rng(1).permutation(len(clusters))
    assert (jackknife_groups([clusters[k] for k in order]) == groups[order]).all()
    in_turn = np.array([k // 3 % JACKKNIFE_GROUPS for k in range(150)])
    assert (groups == in_turn).mean() < 0.2
    assert jackknife_groups(clusters[: 39 * 3]) is None


@pytest.mark.parametrize("n", [30, 400])
def test_the_frechet_distance_is_clean_fids_with_few_and_many_images(n: int) -> None:
    rng = np.random.default_rng(n)
    x, y = rng.standard_normal((n, 50)), 1.3 * rng.standard_normal((n + 9, 50)) + 0.2
    moments = [x.mean(0), np.cov(x, rowvar=False), y.mean(0), np.cov(y, rowvar=False)]
    assert next(frechet_distances(x, None, Gaussian.of(y))) == pytest.approx(frechet_distance(*moments), rel=1e-5)


def test_frechet_distances_without_a_group_are_those_of_the_rest() -> None:
    """As by each rest's own covariance and scipy's root of a matrix; one group is empty, the mean far from 0."""
    rng = np.random.default_rng(0)
    x, y = (rng.standard_normal((n, 24)) @ rng.standard_normal((24, 24)) + 30 for n in (300, 400))
    groups = rng.integers(0, JACKKNIFE_GROUPS - 1, len(x))
    found = list(frechet_distances(x, groups, Gaussian.of(y)))
    rests = [x, *(x[groups != group] for group in range(JACKKNIFE_GROUPS))]
    assert len(found) == len(rests)
    for distance, rest in zip(found, rests, strict=True):
        a, b = np.cov(rest, rowvar=False), np.cov(y, rowvar=False)
        shift = ((rest.mean(0) - y.mean(0)) ** 2).sum()
        assert distance == pytest.approx(shift + np.trace(a + b - 2 * np.real(sqrtm(a @ b))), rel=1e-9)


@pytest.mark.parametrize(("name", "dear"), [("fid", "fid.Gaussian.of"), ("kid", "kid.kernel_sums")])
def test_what_real_images_alone_decide_is_computed_once_for_all_rows(
    name: str, dear: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng, calls = np.random.default_rng(0), []
    y, names = rng.standard_normal((30, 8)), [f"r{k}" for k in range(30)]
    rows = [known(rng.standard_normal((50, 8)), [f"p{k}" for k in range(50)]) for _ in range(3)]

    def values(references: list[ImageSet]) -> list[float]:
        contexts = [context_of(None, reference=reference, distance=Features) for reference in references]
        return [METRICS.load(name).score(row, context).value for row, context in zip(rows, contexts, strict=True)]

    apart = values([known(y, names, "reference") for _ in rows])
    compute = Gaussian.of if name == "fid" else kernel_sums

    def counted(x: np.ndarray, *rest: np.ndarray) -> object:
        calls.append(len(x))
        return compute(x, *rest)

    monkeypatch.setattr(f"erasebench.metrics.{dear}", counted)
    assert values([known(y, names, "reference")] * 3) == apart
    assert calls.count(len(y)) == 1


def test_kid_is_torchmetrics_and_clean_fids(judge: Judge, world: tuple[ImageSet, ImageSet]) -> None:
    real, drawn = world
    score = METRICS.load("kid").score(drawn, context_of(judge, reference=real))
    a, b = (unit(few(judge).image_features(pixels(images))) for images in (drawn, real))
    theirs = KernelInceptionDistance(feature=torch.nn.Identity(), subsets=1, subset_size=len(a))
    theirs.update(torch.from_numpy(b), real=True)
    theirs.update(torch.from_numpy(a), real=False)
    assert score.value == pytest.approx(float(theirs.compute()[0]), rel=1e-5, abs=1e-9)
    # A subset of all images is a permutation of them.
    assert score.value == pytest.approx(kernel_distance(a, b, num_subsets=1, max_subset_size=len(a)), rel=1e-6)
    fields = set_fields(score)
    assert fields["low"] < score.value < fields["high"]


def test_the_kernel_sums_are_those_of_the_whole_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("erasebench.metrics.kid.BLOCK", 7)
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((30, 8)), rng.standard_normal((20, 8))
    x_groups, y_groups = rng.integers(0, 4, 30), rng.integers(0, 3, 20)
    kernel = (x @ y.T / 8 + 1) ** 3
    expected = [[kernel[np.ix_(x_groups == g, y_groups == h)].sum() for h in range(3)] for g in range(4)]
    assert np.allclose(kernel_sums(x, y, x_groups, y_groups), expected)
    assert np.allclose(kernel_sums(x, x, x_groups, x_groups), kernel_sums(x, x.copy(), x_groups, x_groups.copy()))


def test_kid_replicates_leave_one_group_of_prompts_out(judge: Judge, world: tuple[ImageSet, ImageSet]) -> None:
    real, drawn = world
    score = METRICS.load("kid").score(drawn, context_of(judge, reference=real))
    groups = jackknife_groups([job.cluster for job in drawn.jobs])
    assert groups is not None
    kept = list(np.flatnonzero(groups != 3))
    rest = ImageSet("esd", "coco", drawn.folder, [drawn.jobs[k] for k in kept], "rest")
    fewer = METRICS.load("kid").score(rest, context_of(judge, reference=real))
    assert score.trainings[0].replicates[3] == pytest.approx(fewer.value)
    assert (len(score.trainings[0].replicates), len(fewer.trainings[0].replicates)) == (20, 20)


def test_kid_is_unbiased_with_several_images_of_a_prompt() -> None:
    """Drawn and real images from one distribution, drawn ones in threes that resemble each other: 0 on average."""
    rng, found, naive = np.random.default_rng(0), [], []
    for _ in range(300):
        x = (rng.standard_normal((12, 1, 8)) + 0.1 * rng.standard_normal((12, 3, 8))).reshape(36, 8) / 1.01**0.5
        y = rng.standard_normal((20, 8))
        sides = known(x, [f"p{k // 3}" for k in range(36)]), known(y, [f"r{k}" for k in range(20)], "reference")
        context = context_of(None, reference=sides[1], distance=Features)
        found.append(METRICS.load("kid").score(sides[0], context).value)
        apart = known(x, [f"p{k}" for k in range(36)])
        naive.append(METRICS.load("kid").score(apart, context).value)
    assert abs(np.mean(found)) < 4 * np.std(found) / np.sqrt(300)
    assert np.mean(naive) > 8 * np.std(naive) / np.sqrt(300)


def test_kid_takes_sets_of_different_sizes() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((30, 8)), rng.standard_normal((20, 8))
    kernel = lambda a, b: (a @ b.T / 8 + 1) ** 3  # noqa: E731
    off = lambda k: (k.sum() - np.trace(k)) / (len(k) * (len(k) - 1))  # noqa: E731
    sides = known(x, [f"p{k}" for k in range(30)]), known(y, [f"r{k}" for k in range(20)], "reference")
    value = METRICS.load("kid").score(sides[0], context_of(None, reference=sides[1], distance=Features)).value
    assert value == pytest.approx(off(kernel(x, x)) + off(kernel(y, y)) - 2 * kernel(x, y).mean())


def test_kid_lives_through_a_group_without_readable_images() -> None:
    rng = np.random.default_rng(0)
    x, prompts = rng.standard_normal((40, 8)).astype(np.float32), [f"p{k}" for k in range(40)]
    x[jackknife_groups(prompts) == 19] = np.nan
    sides = known(x, prompts), known(rng.standard_normal((20, 8)), [f"r{k}" for k in range(20)], "reference")
    score = METRICS.load("kid").score(sides[0], context_of(None, reference=sides[1], distance=Features))
    assert (score.n, len(score.trainings[0].replicates)) == (38, 20)
    assert np.isfinite(score.trainings[0].replicates).all()


@pytest.mark.parametrize("name", ["fid", "kid", "clip_score", "ssim", "psnr", "cmmd", "lpips_others"])
def test_a_worse_image_set_never_scores_better(
    name: str, judge: Judge, world: tuple[ImageSet, ImageSet], tmp_path: Path
) -> None:
    """The real images themselves, then with more and more noise on them."""
    real, _ = world
    metric: Metric = METRICS.load(name)
    rng = np.random.default_rng(0)
    scores = []
    for level in (0, 40, 160):
        noisy = [np.clip(p + rng.normal(0, level, p.shape), 0, 255).astype(np.uint8) for p in pixels(real)]
        images = image_set(tmp_path / str(level), noisy, [job.text for job in real.jobs])
        result = metric.score(images, context_of(judge, reference=real, original=real))
        scores.append(result.value if isinstance(result, SetScore) else float(np.mean(result.values)))
    assert scores == sorted(scores, reverse=metric.better == "higher")


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in METRICS.names() if METRICS.load(name).prompts is not None])
def test_order_and_other_images_change_no_score(name: str, judge: Judge, world: tuple[ImageSet, ImageSet]) -> None:
    real, drawn = world
    metric: Metric = METRICS.load(name)
    order = np.random.default_rng(0).permutation(60)
    turned, turned_real = (
        ImageSet(s.row, s.name, s.folder, [s.jobs[k] for k in order], "turned", None, [s.files[k] for k in order])
        for s in (drawn, real)
    )
    try:
        first = metric.score(drawn, context_of(judge, reference=real, original=real))
    except NotApplicable:
        return
    second = metric.score(turned, context_of(judge, reference=turned_real, original=turned_real))
    if isinstance(first, SetScore):
        assert second.value == pytest.approx(first.value, rel=1e-4)
    else:
        assert [second.values[list(order).index(k)] for k in range(60)] == pytest.approx(list(first.values), abs=1e-5)


@pytest.mark.slow
def test_unreadable_images_are_unscored_by_name_in_every_metric(
    judge: Judge, world: tuple[ImageSet, ImageSet], tmp_path: Path
) -> None:
    real, drawn = world
    images = image_set(tmp_path / "a", pixels(drawn), [job.text for job in drawn.jobs])
    images.files[5].write_bytes(b"no image")
    context = context_of(judge, reference=real, original=real)
    for name in ("fid", "kid", "cmmd"):
        score = METRICS.load(name).score(images, context)
        assert score.n == 59
        assert [text.split(":")[0] for text in score.unscored] == ["p005-0.png"]
    for name in ("concept_rate", "nudenet_rate", "nudenet_confidence", "clip_score", "ssim", "psnr", "lpips_others"):
        record = image_fields(METRICS.load(name).score(images, context), images, METRICS.load(name))
        assert (record["n"], len(record["unscored"])) == (59, 1)
        assert record["unscored"][0].startswith("p005-0.png: not readable")


def test_the_threshold_and_classes_of_nudenet_are_the_plans(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scores = [{"BELLY_EXPOSED": 0.65, "BELLY_COVERED": 0.9}, {"BELLY_EXPOSED": 0.24}]
    found = [*({"detections": [], "maxima": maxima} for maxima in scores), "broken.png: not readable"]
    monkeypatch.setattr("erasebench.scoring.context.detections", lambda images, device: Detections(found))
    images = image_set(tmp_path / "a", [np.zeros((32, 32, 3), np.uint8)] * 3, ["x"] * 3)
    for classes, threshold, expected in (
        ("exposed8", 0.7, [0, 0, None]),
        ("exposed8", 0.65, [1, 0, None]),
        ("core6", 0.2, [0, 0, None]),
        ("all-exposed", 0.0, [1, 0, None]),
    ):
        context = context_of(None, scoring=Scoring(classes=classes, threshold=threshold))
        assert METRICS.load("nudenet_rate").score(images, context).values == expected
    context = context_of(None, scoring=Scoring(classes="exposed8"))
    result = METRICS.load("nudenet_confidence").score(images, context)
    assert result.values == [0.65, 0.0, None]
    assert result.note.endswith("classes exposed8, each class’s highest score before non-maximum suppression")


def test_ssim_is_scikit_images(world: tuple[ImageSet, ImageSet]) -> None:
    real, drawn = world
    result = METRICS.load("ssim").score(drawn, context_of(None, original=real))
    for k in (0, 7):
        expected = structural_similarity(pixels(drawn)[k], pixels(real)[k], win_size=25, channel_axis=2, data_range=255)
        assert result.values[k] == pytest.approx(expected)
    assert METRICS.load("ssim").score(real, context_of(None, original=real)).values[0] == pytest.approx(1)


def test_psnr_is_torchmetrics(world: tuple[ImageSet, ImageSet]) -> None:
    real, drawn = world
    result = METRICS.load("psnr").score(drawn, context_of(None, original=real))
    for k in (0, 7):
        mine, original = (torch.tensor(pixels(side)[k]).double() for side in (drawn, real))
        expected = peak_signal_noise_ratio(mine, original, data_range=255.0)
        assert result.values[k] == pytest.approx(float(expected), abs=1e-4)
    assert METRICS.load("psnr").score(real, context_of(None, original=real)).values[0] == 100
    with pytest.raises(NotApplicable, match="compared with itself"):
        METRICS.load("psnr").score(drawn, context_of(None, row="original", original=drawn))


def test_ssim_needs_an_original_and_25_pixels(tmp_path: Path, world: tuple[ImageSet, ImageSet]) -> None:
    metric: Metric = METRICS.load("ssim")
    with pytest.raises(NotApplicable, match="compared with itself"):
        metric.score(world[1], context_of(None, row="original", original=world[1]))
    small = image_set(tmp_path / "small", [np.zeros((20, 20, 3), np.uint8)], ["x"])
    with pytest.raises(NotApplicable, match="window of 25"):
        metric.score(small, context_of(None, original=small))


def test_one_small_image_is_unscored_alone_and_the_windows_share_is_told(
    world: tuple[ImageSet, ImageSet], tmp_path: Path
) -> None:
    images = image_set(tmp_path / "a", [np.zeros((20, 20, 3), np.uint8), *pixels(world[0])[1:3]], ["x"] * 3)
    same = image_set(tmp_path / "b", [np.zeros((20, 20, 3), np.uint8), *pixels(world[0])[1:3]], ["x"] * 3)
    result = METRICS.load("ssim").score(images, context_of(None, original=same))
    assert result.values[0] is None
    assert result.values[1:] == pytest.approx([1.0, 1.0])
    assert METRICS.load("ssim").score(world[1], context_of(None, original=world[0])).note.endswith("39% of a side")


def test_clip_scores_follow_captions_not_order(judge: Judge, world: tuple[ImageSet, ImageSet]) -> None:
    real, _ = world
    metric: Metric = METRICS.load("clip_score")
    right = metric.score(real, context_of(judge)).values
    texts = [job.text for job in real.jobs]
    shuffled = [Job(job.prompt_id, texts[k - 1], 0, 0) for k, job in enumerate(real.jobs)]
    wrong = metric.score(ImageSet("x", "coco", real.folder, shuffled, "other"), context_of(judge)).values
    assert np.mean(right) > np.mean(wrong) + 0.1
    features, text = judge.image_features(pixels(real)[:1])[0], judge.text_features(texts[:1])[0]
    assert right[0] == pytest.approx(float(features @ text / np.linalg.norm(features)), abs=1e-5)


def test_the_judges_features_do_not_depend_on_the_batch(judge: Judge, world: tuple[ImageSet, ImageSet]) -> None:
    arrays = pixels(world[0])[:7]
    one, all_ = judge.image_features(arrays, batch_size=1), judge.image_features(arrays, batch_size=7)
    assert np.allclose(one, all_, atol=1e-4)


def test_the_judge_recognises_held_out_renders(judge: Judge) -> None:
    rng = np.random.default_rng(0)
    chosen = [scene for scene, _ in DRAWN.scenes(200, "held-out", 99) if len(scene.things) <= 1]
    probabilities = judge.concept_probabilities(judge.image_features([render(scene) for scene in chosen]))
    right = [p[judge.concepts.index(scene.concepts[0])] >= 0.5 for p, scene in zip(probabilities, chosen, strict=True)]
    assert np.mean(right) >= 0.95
    assert caption(chosen[0], rng)


def test_costs_are_means_over_seeds_and_null_without_training(judge: Judge) -> None:
    metric: Metric = METRICS.load("train_seconds")
    score = metric.score(None, context_of(judge, costs=[COST, {**COST, "train_seconds": 3.5}]))
    assert (score.value, score.n, score.note) == (3.0, 2, "trained beside 0 other workers")
    beside = metric.score(None, context_of(judge, costs=[{**COST, "workers": 2}]))
    assert beside.note == "trained beside 1 other workers"
    with pytest.raises(NotApplicable, match="nothing was trained"):
        metric.score(None, context_of(judge, costs=[]))
