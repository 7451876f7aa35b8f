"""Every metric: its contract, and its value against the library that users would call."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from cleanfid.fid import frechet_distance, kernel_distance
from scipy.linalg import sqrtm
from skimage import data
from skimage.metrics import structural_similarity
from torchmetrics.image.kid import KernelInceptionDistance

from erasebench import ImageScores, ImageSet, Metric, ScoringContext, SetScore
from erasebench.cost import Cost
from erasebench.generate import Job, write_png
from erasebench.metrics.kid import squared_mmd
from erasebench.mini.judge import Judge
from erasebench.mini.world import CONCEPTS, Scene, Thing, caption, render, scenes
from erasebench.prompts.concepts import get_concept
from erasebench.registry import METRICS
from erasebench.scoring import NotApplicable
from erasebench.stages import _aggregate

COST = asdict(Cost(10, 2.5, 99, 12, 512.0))


def image_set(folder: Path, images: list[np.ndarray], texts: list[str], row: str = "esd") -> ImageSet:
    folder.mkdir(parents=True)
    jobs = [Job(f"p{k:03d}", text, 0, k) for k, text in enumerate(texts)]
    for job, image in zip(jobs, images, strict=True):
        write_png(folder / job.file_name, image)
    return ImageSet(row, "coco", folder, jobs, "key")


def context_of(judge: Judge | None, concept: str = "cat", kind: str | None = None, **changes: object) -> ScoringContext:
    given = {
        "concept": get_concept(concept, kind), "row": "esd", "original": None, "reference": None, "judge": judge,
        "clip": lambda: judge, "distance": lambda: judge, "costs": [COST],
    }  # fmt: skip
    return ScoringContext(**{**given, **changes})  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[ImageSet, ImageSet]:
    """Sixty held-out renders as real images, and sixty others as drawn ones."""
    folder = tmp_path_factory.mktemp("world")
    chosen = scenes(120, "held-out", 3)
    real, drawn = chosen[:60], chosen[60:]
    return (
        image_set(folder / "real", [render(s) for s, _ in real], [t for _, t in real], "reference"),
        image_set(folder / "drawn", [render(s) for s, _ in drawn], [t for _, t in drawn]),
    )


@pytest.mark.parametrize("name", METRICS.names())
def test_every_metric_scores_or_says_why_not(name: str, judge: Judge, world: tuple[ImageSet, ImageSet]) -> None:
    metric: Metric = METRICS.load(name)
    real, drawn = world
    context = context_of(judge, original=real, reference=real)
    result = metric.score(drawn if metric.prompts else None, context)
    assert metric.better in ("higher", "lower")
    assert metric.score.__doc__
    if isinstance(result, SetScore):
        assert np.isfinite(result.value)
        assert result.n == (len(drawn.jobs) if metric.prompts else 1)
    else:
        assert isinstance(result, ImageScores)
        assert len(result.values) == len(drawn.jobs)
        assert all(value is None or -1 <= value <= 1 for value in result.values)
        assert result.note


def test_the_concept_rate_of_a_free_text_is_zero_shot(judge: Judge, tmp_path: Path) -> None:
    """A text that the judge has no head for: its synonyms among the built-in concepts are left out."""
    metric: Metric = METRICS.load("concept_rate")
    names = ["cat"] * 10 + ["car", "church", "woman", "guitar", "boat"] * 2
    renders = [render(Scene((Thing(name, CONCEPTS[name].usual),), "plain", None, k)) for k, name in enumerate(names)]
    result = metric.score(image_set(tmp_path / "a", renders, names), context_of(judge, "a kitten", "animal"))
    assert "zero-shot" in result.note
    assert sum(result.values[:10]) >= 8
    assert sum(result.values[10:]) <= 1


def test_the_concept_rate_tells_the_concept_from_others(judge: Judge, tmp_path: Path) -> None:
    metric: Metric = METRICS.load("concept_rate")
    names = ["nudity"] * 10 + ["woman", "man", "child", "cat", "church"] * 2
    renders = [render(Scene((Thing(name, CONCEPTS[name].usual),), "plain", None, k)) for k, name in enumerate(names)]
    result = metric.score(image_set(tmp_path / "a", renders, names), context_of(judge, "nudity"))
    assert sum(result.values[:10]) >= 9
    assert sum(result.values[10:]) <= 1


def test_the_concept_rate_of_a_style_reads_the_style(judge: Judge, tmp_path: Path) -> None:
    metric: Metric = METRICS.load("concept_rate")
    styles = ["neon"] * 8 + [None, "sketch"] * 4
    renders = [render(Scene((Thing("cat", "orange"),), "plain", style, k)) for k, style in enumerate(styles)]
    result = metric.score(image_set(tmp_path / "a", renders, ["x"] * 16), context_of(judge, "neon"))
    assert result.values == [1.0] * 8 + [0.0] * 8


def test_without_a_judge_the_concept_rate_is_clips_or_null_with_a_reason(
    judge: Judge, world: tuple[ImageSet, ImageSet]
) -> None:
    def missing() -> None:
        raise NotApplicable("CLIP is not in the cache")

    metric: Metric = METRICS.load("concept_rate")
    assert "zero-shot among" in metric.score(world[1], context_of(None, clip=lambda: judge)).note
    with pytest.raises(NotApplicable, match="not in the cache"):
        metric.score(world[1], context_of(None, clip=missing))


def test_nudenet_sees_a_face_stores_it_and_counts_what_it_cannot_read(tmp_path: Path) -> None:
    metric: Metric = METRICS.load("nudenet_rate")
    images = image_set(tmp_path / "a", [data.astronaut(), data.astronaut()[:40, :40]], ["a", "b"])
    (tmp_path / "a" / images.jobs[1].file_name).write_bytes(b"no image")
    result = metric.score(images, context_of(None))
    assert result.values == [0.0, None]
    assert any(found["class"].startswith("FACE") for found in result.details[0])
    assert "p001-0.png" in result.details[1]
    record = _aggregate(result, images)
    assert (record["value"], record["n"], record["unscored"]) == (0.0, 1, 1)


def test_a_rate_over_no_image_is_null() -> None:
    images = ImageSet("esd", "concept", Path(), [Job("p", "x", 0, 0)], "key")
    record = _aggregate(ImageScores([None]), images)
    assert record["reason"] == "no image could be scored"
    assert "value" not in record


def test_fid_is_clean_fids(judge: Judge, world: tuple[ImageSet, ImageSet]) -> None:
    real, drawn = world
    value = METRICS.load("fid").score(drawn, context_of(judge, reference=real)).value
    a, b = (judge.image_features(images.arrays).astype(np.float64) for images in (drawn, real))
    moments = [a.mean(0), np.cov(a, rowvar=False), b.mean(0), np.cov(b, rowvar=False)]
    assert value == pytest.approx(frechet_distance(*moments), rel=1e-6)
    # and the definition (arXiv 1706.08500, equation 6)
    cross = np.trace(np.real(sqrtm(moments[1] @ moments[3])))
    by_hand = ((moments[0] - moments[2]) ** 2).sum() + np.trace(moments[1] + moments[3]) - 2 * cross
    assert value == pytest.approx(by_hand, rel=1e-3)
    assert METRICS.load("fid").score(real, context_of(judge, reference=real)).value == pytest.approx(0, abs=0.05)


def test_kid_is_torchmetrics_and_clean_fids(judge: Judge, world: tuple[ImageSet, ImageSet]) -> None:
    real, drawn = world
    # Captions of other names: none of the sixty real images belongs to a drawn one.
    jobs = [Job(f"other-{job.prompt_id}", job.text, 0, 0) for job in real.jobs]
    other = ImageSet("reference", "coco", real.folder, jobs, "key", real.files)
    score = METRICS.load("kid").score(drawn, context_of(judge, reference=other))
    a, b = (judge.image_features(images.arrays).astype(np.float64) for images in (drawn, real))
    theirs = KernelInceptionDistance(feature=torch.nn.Identity(), subsets=1, subset_size=len(a))
    theirs.update(torch.from_numpy(b), real=True)
    theirs.update(torch.from_numpy(a), real=False)
    assert score.value == pytest.approx(float(theirs.compute()[0]), rel=1e-5, abs=1e-9)
    n = a.shape[1]
    kernel = lambda x, y: (x @ y.T / n + 1) ** 3  # noqa: E731
    off = lambda k: (k.sum() - np.trace(k)) / (len(k) * (len(k) - 1))  # noqa: E731
    assert score.value == pytest.approx(off(kernel(a, a)) + off(kernel(b, b)) - 2 * kernel(a, b).mean(), rel=1e-6)
    assert np.isfinite(kernel_distance(a, b, num_subsets=1))
    assert score.low < score.value < score.high


def test_kid_leaves_out_the_real_image_of_the_same_caption() -> None:
    """Two copies of one sample are paired completely; without their pairs the discrepancy is zero on average."""
    rng = np.random.default_rng(0)
    paired, naive = [], []
    for _ in range(200):
        x = rng.standard_normal((20, 8))
        y = x + 0.01 * rng.standard_normal((20, 8))
        paired.append(squared_mmd(x, y, np.eye(20, dtype=bool)))
        naive.append(squared_mmd(x, y))
    assert abs(np.mean(paired)) < 0.02
    assert np.mean(naive) < -0.1


def test_kid_takes_sets_of_different_sizes() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((30, 8)), rng.standard_normal((20, 8))
    kernel = lambda a, b: (a @ b.T / 8 + 1) ** 3  # noqa: E731
    off = lambda k: (k.sum() - np.trace(k)) / (len(k) * (len(k) - 1))  # noqa: E731
    expected = off(kernel(x, x)) + off(kernel(y, y)) - 2 * kernel(x, y).mean()
    assert squared_mmd(x, y) == pytest.approx(expected)


def test_ssim_is_scikit_images(world: tuple[ImageSet, ImageSet]) -> None:
    real, drawn = world
    result = METRICS.load("ssim").score(drawn, context_of(None, original=real))
    for k in (0, 7):
        expected = structural_similarity(drawn.arrays[k], real.arrays[k], win_size=25, channel_axis=2, data_range=255)
        assert result.values[k] == pytest.approx(expected)
    assert METRICS.load("ssim").score(real, context_of(None, original=real)).values[0] == pytest.approx(1)


def test_ssim_needs_an_original_and_25_pixels(tmp_path: Path, world: tuple[ImageSet, ImageSet]) -> None:
    metric: Metric = METRICS.load("ssim")
    with pytest.raises(NotApplicable, match="compared with itself"):
        metric.score(world[1], context_of(None, row="original", original=world[1]))
    small = image_set(tmp_path / "small", [np.zeros((20, 20, 3), np.uint8)], ["x"])
    with pytest.raises(NotApplicable, match="window of 25"):
        metric.score(small, context_of(None, original=small))


def test_clip_scores_follow_captions_not_order(judge: Judge, world: tuple[ImageSet, ImageSet]) -> None:
    real, _ = world
    metric: Metric = METRICS.load("clip_score")
    right = metric.score(real, context_of(judge)).values
    texts = [job.text for job in real.jobs]
    shuffled = [Job(job.prompt_id, texts[k - 1], 0, 0) for k, job in enumerate(real.jobs)]
    wrong = metric.score(ImageSet("x", "coco", real.folder, shuffled, "other"), context_of(judge)).values
    assert np.mean(right) > np.mean(wrong) + 0.1
    features, text = judge.image_features(real.arrays[:1])[0], judge.text_features(texts[:1])[0]
    assert right[0] == pytest.approx(float(features @ text / np.linalg.norm(features)), abs=1e-5)


def test_the_judges_features_do_not_depend_on_the_batch(judge: Judge, world: tuple[ImageSet, ImageSet]) -> None:
    arrays = world[0].arrays[:7]
    one, all_ = judge.image_features(arrays, batch_size=1), judge.image_features(arrays, batch_size=7)
    assert np.allclose(one, all_, atol=1e-4)


def test_the_judge_recognises_held_out_renders(judge: Judge) -> None:
    rng = np.random.default_rng(0)
    chosen = [scene for scene, _ in scenes(200, "held-out", 99) if len(scene.things) <= 1]
    probabilities = judge.concept_probabilities(judge.image_features([render(scene) for scene in chosen]))
    right = [p[judge.concepts.index(scene.concepts[0])] >= 0.5 for p, scene in zip(probabilities, chosen, strict=True)]
    assert np.mean(right) >= 0.95
    assert caption(chosen[0], rng)


def test_costs_are_means_over_seeds_and_null_without_training(judge: Judge) -> None:
    metric: Metric = METRICS.load("train_seconds")
    score = metric.score(None, context_of(judge, costs=[COST, {**COST, "train_seconds": 3.5}]))
    assert (score.value, score.n) == (3.0, 2)
    with pytest.raises(NotApplicable, match="nothing was trained"):
        metric.score(None, context_of(judge, costs=[]))
