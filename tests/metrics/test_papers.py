"""The numbers that papers report beside the usual ones, against libraries and short formulas."""

from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
import torchvision
from scored import Features, context_of, image_set, known, pixels
from torchmetrics.functional.image import learned_perceptual_image_patch_similarity
from torchmetrics.image import MultiScaleStructuralSimilarityIndexMeasure

from erasebench import ImageSet
from erasebench.errors import BenchError, NotApplicable, NotScored
from erasebench.metrics.cmmd import kernel_sums
from erasebench.registry import METRICS
from erasebench.runs.plan_file import load_plan
from erasebench.scoring.context import jackknife_groups
from erasebench.scoring.judge import Judge
from erasebench.scoring.perceptual import Lpips

Sides = tuple[ImageSet, ImageSet]


def test_papers_is_a_group_that_only_its_name_turns_on() -> None:
    papers = list(METRICS.groups["papers"])
    assert load_plan("main", {"metrics": ["papers"]}).metrics == papers
    assert load_plan("main", {"metrics": ["ssim", "papers", "psnr"]}).metrics == ["ssim", *papers]
    assert not set(papers) & set(load_plan("main", {"metrics": ["all"]}).metrics)
    with pytest.raises(BenchError, match=r"unknown metric 'paper'\. Did you mean 'papers'"):
        load_plan("main", {"metrics": ["paper"]})


@pytest.fixture
def sides(tmp_path: Path) -> Sides:
    """Three images of the original, of 176 pixels, and the same with noise."""
    rng = np.random.default_rng(0)
    plain = [rng.integers(0, 256, (22, 22, 3)).repeat(8, 0).repeat(8, 1) for _ in range(3)]
    noisy = [np.clip(image + rng.integers(-60, 61, image.shape), 0, 255) for image in plain]
    original, drawn = ([image.astype(np.uint8) for image in side] for side in (plain, noisy))
    texts = ["a cat", "a dog", "a bus"]
    return image_set(tmp_path / "original", original, texts, "original"), image_set(tmp_path / "row", drawn, texts)


def tensor(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(image).permute(2, 0, 1)[None].float()


def test_ms_ssim_is_torchmetrics_of_each_image_and_needs_161_pixels(sides: Sides, tmp_path: Path) -> None:
    original, drawn = sides
    metric = METRICS.load("ms_ssim")
    result = metric.score(drawn, context_of(None, original=original))
    for value, mine, other in zip(result.values, pixels(drawn), pixels(original), strict=True):
        whole = MultiScaleStructuralSimilarityIndexMeasure(data_range=255.0)
        assert value == pytest.approx(float(whole(tensor(mine), tensor(other))), abs=1e-5)
        assert 0 < value < 0.99
    assert metric.score(original, context_of(None, original=original)).values == pytest.approx([1.0] * 3)
    small = image_set(tmp_path / "small", [np.zeros((160, 160, 3), np.uint8)], ["x"])
    with pytest.raises(NotApplicable, match="five scales need 161 pixels a side"):
        metric.score(small, context_of(None, original=small))
    with pytest.raises(NotApplicable, match="compared with itself"):
        metric.score(original, context_of(None, row="original", original=original))


def test_lpips_is_torchmetrics_in_the_range_of_its_network(sides: Sides, monkeypatch: pytest.MonkeyPatch) -> None:
    """With random weights in AlexNet's place, which have to be fetched."""
    alexnet = torchvision.models.alexnet

    def seeded(weights: object = None) -> torch.nn.Module:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            return alexnet(weights=None)

    monkeypatch.setattr(torchvision.models, "alexnet", seeded)
    original, drawn = sides
    result = METRICS.load("lpips_erased").score(drawn, context_of(None, original=original, lpips=lambda: Lpips("cpu")))
    for value, mine, other in zip(result.values, pixels(drawn), pixels(original), strict=True):
        scaled = (tensor(image) / 255 for image in (mine, other))
        expected = learned_perceptual_image_patch_similarity(*scaled, net_type="alex", normalize=True)
        assert value == pytest.approx(float(expected), rel=1e-4)
        assert value > 0
    assert result.qualifier == ""
    same = METRICS.load("lpips_others").score(original, context_of(None, original=original, lpips=lambda: Lpips("cpu")))
    assert same.values == pytest.approx([0.0] * 3, abs=1e-7)


def test_lpips_without_weights_says_from_where_to_where(sides: Sides, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(weights: object = None) -> None:
        raise URLError("no network")

    monkeypatch.setattr(torchvision.models, "alexnet", unreachable)
    with pytest.raises(NotScored, match=r"from .*checkpoints/alexnet.*\.pth, nor fetched from https://.*alexnet"):
        METRICS.load("lpips_others").score(sides[1], context_of(None, original=sides[0], lpips=lambda: Lpips("cpu")))


def test_on_the_embedded_model_lpips_is_the_judges_cosine(judge: Judge, sides: Sides) -> None:
    original, drawn = sides
    result = METRICS.load("lpips_others").score(drawn, context_of(judge, original=original))
    a, b = (judge.image_features(pixels(side)).astype(float) for side in (drawn, original))
    cosine = (a * b).sum(1) / np.sqrt((a**2).sum(1) * (b**2).sum(1))
    assert result.values == pytest.approx(list(1 - cosine), abs=1e-5)
    assert result.qualifier == "judge"
    assert "in place of LPIPS" in result.note


def gaussian_mmd(x: np.ndarray, y: np.ndarray) -> float:
    """A thousand times the biased squared MMD, pair by pair."""
    x, y = (side / np.linalg.norm(side, axis=1, keepdims=True) for side in (x, y))

    def mean(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.mean([[np.exp(-((p - q) ** 2).sum() / 200) for q in b] for p in a]))

    return 1000 * (mean(x, x) + mean(y, y) - 2 * mean(x, y))


def test_cmmd_is_the_biased_gaussian_mmd_of_embeddings_of_length_1() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((60, 8)), rng.standard_normal((25, 8)) + 0.5
    prompts = [f"p{k}" for k in range(60)]
    sets = known(x, prompts), known(y, [f"r{k}" for k in range(25)], "reference")
    result = METRICS.load("cmmd").score(sets[0], context_of(None, reference=sets[1], encoder=lambda look: Features()))
    assert result.value == pytest.approx(gaussian_mmd(x, y), rel=1e-9)
    groups = jackknife_groups(prompts)
    assert groups is not None
    for g in (0, 19):
        assert result.trainings[0].replicates[g] == pytest.approx(gaussian_mmd(x[groups != g], y), rel=1e-9)
    same = METRICS.load("cmmd").score(sets[0], context_of(None, reference=sets[0], encoder=lambda look: Features()))
    assert same.value == pytest.approx(0, abs=1e-9)


def test_the_kernels_sums_do_not_depend_on_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.random.default_rng(0).standard_normal((9, 4))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    whole = kernel_sums(x, x)
    monkeypatch.setattr("erasebench.metrics.cmmd.BLOCK", 4)
    assert kernel_sums(x, x) == pytest.approx(whole)
