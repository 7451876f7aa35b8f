"""What a plan's schema allows can be done; the rest is refused before work begins."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from samplers import theirs

from erasebench.errors import BenchError
from erasebench.images.drawing import generate
from erasebench.images.files import read_image
from erasebench.images.jobs import Job
from erasebench.models.sampler_steps import LEVELS, first_level, schedule_fault, single_step_fault
from erasebench.models.text_to_image import TextToImage
from erasebench.runs.plan import MOST_IMAGES, Generation, Plan
from erasebench.runs.plan_file import load_plan

SAMPLERS = ("ddim", "dpm++", "lms", "pndm")


@pytest.mark.slow
@pytest.mark.parametrize("solver", SAMPLERS)
def test_every_step_count_begins_at_noise_or_is_refused(mini: TextToImage, solver: str) -> None:
    """As diffusers counts, for all of 1 … 1,000 steps: a sampler that is allowed begins in the noisiest tenth."""
    scheduler = theirs(solver, mini)
    for steps in range(1, LEVELS + 1):
        scheduler.set_timesteps(steps)
        levels = [float(t) for t in scheduler.timesteps]
        assert levels[0] == first_level(solver, steps)[0]
        if schedule_fault(solver, steps) is not None:
            with pytest.raises(BenchError, match="pure noise"):
                mini.sampler(solver, steps)
        elif steps > 1:
            if solver in ("ddim", "dpm++"):  # the others are diffusers' own
                assert mini.sampler(solver, steps).timesteps == levels
            width = levels[0] - levels[1]
            assert levels[0] + max(width, 1) >= 0.9 * LEVELS
            assert max(levels) < LEVELS
            assert levels == sorted(levels, reverse=True)


@pytest.mark.parametrize(
    ("solver", "steps", "message"),
    [
        ("ddim", 1000, "1000 steps of ddim would start at level 1000 of 0 … 999, not from pure noise: take 999"),
        ("ddim", 600, "would start at level 600 of 0 … 999, not from pure noise: take 500 or 899"),
        ("pndm", 334, "level 667"),
        ("dpm++", 500, "would start at level 501 of 0 … 999, not from pure noise: take 499 or 898"),
        ("dpm++", 1000, "level 1 of"),
        ("ddim", 1, "a single step of ddim is at the last level"),
        ("pndm", 1, "a single step of pndm"),
        ("lms", 1, "a single step of lms"),
    ],
)
def test_steps_that_would_draw_something_else_are_refused_with_their_line(
    tmp_path: Path, solver: str, steps: int, message: str
) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        f"methods: [esd]\nmetrics: [ssim]\nimages: 5\ngeneration:\n  scheduler: {solver}\n  steps: {steps}\n"
    )
    with pytest.raises(BenchError, match=rf"line 6: generation\.steps: .*{message}"):
        load_plan(str(path), {})


@pytest.mark.parametrize(
    ("solver", "steps"), [("ddim", 999), ("dpm++", 998), ("dpm++", 1), ("lms", 1000), ("pndm", 500)]
)
def test_the_longest_schedules_are_allowed(solver: Any, steps: int) -> None:
    assert Generation(scheduler=solver, steps=steps).steps == steps
    assert single_step_fault(solver, steps) is None


def test_a_sampler_of_a_training_is_checked_too(mini: TextToImage) -> None:
    with pytest.raises(BenchError, match=r"600 steps of ddim would start at level 600"):
        mini.denoise(mini.noise([1]), mini.encode(["a cat"]), mini.encode([""]), steps=600, guidance=1.0, until=1)


@pytest.mark.parametrize("solver", ["dpm++", "lms", "ddim", "pndm"])
def test_few_steps_and_no_guidance_draw_finite_images(mini: TextToImage, solver: str) -> None:
    """At a guidance of 0 the prompt means nothing."""
    z, empty = mini.noise([3]), mini.encode([""])
    steps = 1 if solver == "dpm++" else 2
    without = mini.denoise(z, mini.encode(["nudity"]), empty, steps=steps, guidance=0.0, solver=solver)
    plain = mini.denoise(z, empty, empty, steps=steps, guidance=1.0, solver=solver)
    assert without.isfinite().all()
    assert torch.allclose(without, plain, atol=1e-4)


@pytest.mark.parametrize("seed", [0, 1, 2**32, 2**63 - 1])
def test_seeds_at_the_edges_draw_their_own_noise(mini: TextToImage, seed: int) -> None:
    expected = torch.randn(mini.latent_shape, generator=torch.Generator().manual_seed(seed))
    assert torch.equal(mini.noise([seed])[0], expected)
    assert Plan(methods=["uce"], metrics=["ssim"], images=1, seeds=[seed], image_seed=seed).image_seed == seed


@pytest.mark.parametrize(
    "field",
    [
        {"seeds": [2**63]},
        {"seeds": [-1]},
        {"image_seed": 2**64},
        {"images": MOST_IMAGES + 1},
        {"images": 0},
        {"generation": {"guidance": float("nan")}},
        {"generation": {"guidance": -1.0}},
        {"generation": {"size": 32}},
        {"generation": {"size": 68}},
        {"generation": {"size": 4096}},
        {"generation": {"batch_size": -1}},
        {"generation": {"batch_size": 5000}},
        {"train_steps": 0},
    ],
    ids=str,
)
def test_what_is_beyond_the_limits_is_refused(field: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Plan(**{"methods": ["uce"], "metrics": ["ssim"], "images": 1, **field})


def test_a_large_batch_and_other_sizes_are_drawn(mini: TextToImage, tmp_path: Path) -> None:
    jobs = [Job(f"p{k}", "a cat", 0, k) for k in range(3)]
    for side in (64, 72, 136):
        folder = tmp_path / str(side)
        generate(mini, jobs, folder, steps=2, guidance=3.0, batch_size=4096, size=(side, side))
        for file in folder.glob("*.png"):
            image = read_image(file)
            assert isinstance(image, np.ndarray)
            assert image.shape == (side, side, 3)


def test_the_schedule_is_that_of_the_model(mini: TextToImage) -> None:
    assert mini.scheduler.config.num_train_timesteps == LEVELS
