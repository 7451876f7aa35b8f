"""Generation: same seed, same image, whatever the batch, the order or an interruption."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import LMSDiscreteScheduler
from samplers import OWN, theirs

from erasebench.engine.run import run
from erasebench.errors import BenchError
from erasebench.images.drawing import generate
from erasebench.images.files import read_image
from erasebench.images.jobs import Job, image_seed
from erasebench.models.text_to_image import TextToImage
from erasebench.runs.folder import RunFolder
from erasebench.runs.plan import Generation, Plan

TEXTS = ("a cat", "a red bus in the city", "nudity", "a church", "")
JOBS = [Job(f"p{k}", text, 0, image_seed(0, f"p{k}", 0)) for k, text in enumerate(TEXTS)]
SETTINGS = {"steps": 6, "guidance": 5.0}


def _images(folder: Path) -> dict[str, np.ndarray]:
    return {file.name: read_image(file) for file in sorted(folder.glob("*.png"))}


def _largest_difference(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> int:
    assert a.keys() == b.keys()
    return max(int(np.abs(a[name].astype(int) - b[name].astype(int)).max()) for name in a)


@pytest.fixture(scope="module")
def whole(mini: TextToImage, tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    folder = tmp_path_factory.mktemp("whole")
    assert generate(mini, JOBS, folder, batch_size=5, **SETTINGS) == len(JOBS)
    return _images(folder)


@pytest.mark.parametrize("batch_size", [1, 2, 3])
def test_batch_size_and_order_change_no_image(
    mini: TextToImage, whole: dict[str, np.ndarray], tmp_path: Path, batch_size: int
) -> None:
    generate(mini, JOBS[::-1], tmp_path, batch_size=batch_size, **SETTINGS)
    assert _largest_difference(_images(tmp_path), whole) <= 1


def test_what_was_drawn_before_changes_no_image(
    mini: TextToImage, whole: dict[str, np.ndarray], tmp_path: Path
) -> None:
    torch.manual_seed(123)
    generate(mini, JOBS[3:4], tmp_path, batch_size=1, **SETTINGS)
    name = JOBS[3].file_name
    assert _largest_difference(_images(tmp_path), {name: whole[name]}) <= 1


def test_only_missing_images_are_drawn(mini: TextToImage, whole: dict[str, np.ndarray], tmp_path: Path) -> None:
    generate(mini, JOBS, tmp_path, batch_size=5, **SETTINGS)
    kept = tmp_path / JOBS[0].file_name
    before = kept.stat().st_mtime_ns
    (tmp_path / JOBS[2].file_name).unlink()
    counts: list[int] = []
    assert generate(mini, JOBS, tmp_path, batch_size=5, done=counts.append, **SETTINGS) == 1
    assert counts == [4, 1]
    assert kept.stat().st_mtime_ns == before
    assert _largest_difference(_images(tmp_path), whole) == 0  # the batch was drawn again as a whole


def test_different_seeds_give_different_images(mini: TextToImage, whole: dict[str, np.ndarray], tmp_path: Path) -> None:
    other = [Job("p0", TEXTS[0], 0, image_seed(1, "p0", 0))]
    generate(mini, other, tmp_path, batch_size=1, **SETTINGS)
    assert _largest_difference(_images(tmp_path), {other[0].file_name: whole[other[0].file_name]}) > 30


def test_images_equal_the_diffusers_pipeline(mini: TextToImage, whole: dict[str, np.ndarray]) -> None:
    pipeline = mini.pipeline()
    pipeline.set_progress_bar_config(disable=True)
    job = JOBS[1]
    drawn = pipeline(
        job.text, num_inference_steps=6, guidance_scale=5.0, latents=mini.noise([job.seed]), output_type="np"
    ).images[0]
    assert np.abs(np.round(drawn * 255) - whole[job.file_name]).max() <= 1


def test_denoising_stops_at_exactly_the_level(mini: TextToImage) -> None:
    levels = mini.timesteps(50)
    assert (levels[0], levels[1], levels[-1]) == (981, 961, 1)
    assert (mini.timesteps(35)[0], mini.timesteps(35)[-1]) == (953, 1)
    context, empty = mini.encode(["a cat"]), mini.encode([""])
    z = mini.noise([1, 2])
    assert torch.equal(mini.denoise(z, context, empty, steps=5, guidance=3.0, until=0), z)
    # One DDIM step by hand (arXiv 2010.02502, equation 12 with η = 0) from level 0 to level 1.
    t, following = mini.timesteps(5)[:2]
    unconditional, conditional = mini.predict_noise(z, t, empty), mini.predict_noise(z, t, context)
    noise = unconditional + 3.0 * (conditional - unconditional)
    alpha, alpha_next = mini.scheduler.alphas_cumprod[t], mini.scheduler.alphas_cumprod[following]
    clean = (z - (1 - alpha).sqrt() * noise) / alpha.sqrt()
    expected = alpha_next.sqrt() * clean + (1 - alpha_next).sqrt() * noise
    stopped = mini.denoise(z, context, empty, steps=5, guidance=3.0, until=1)
    assert torch.allclose(stopped, expected, atol=1e-5)


def test_each_row_of_a_walk_stops_at_its_own_level(mini: TextToImage) -> None:
    context, empty = mini.encode(["a cat"]), mini.encode([""])
    z, levels = mini.noise([1, 2, 3, 4]), [0, 3, 5, 1]
    together = mini.denoise(z, context, empty, steps=6, guidance=3.0, until=levels)
    for k, level in enumerate(levels):
        alone = mini.denoise(z[k : k + 1], context, empty, steps=6, guidance=3.0, until=level)
        assert torch.allclose(together[k], alone[0], atol=1e-4)


def test_a_walk_from_in_between_goes_on_as_the_whole_one(mini: TextToImage) -> None:
    context, empty = mini.encode(["a cat"]), mini.encode([""])
    z = mini.noise([1, 2])
    between = mini.denoise(z, context, empty, steps=6, guidance=3.0, until=4)
    rest = mini.denoise(between, context, empty, steps=6, guidance=3.0, begin=4)
    assert torch.equal(rest, mini.denoise(z, context, empty, steps=6, guidance=3.0))
    for solver, begin in (("dpm++", 2), ("ddim", 6), ("ddim", -1)):
        with pytest.raises(BenchError, match=f"can't begin at step {begin}"):
            mini.denoise(z, context, empty, steps=6, guidance=3.0, solver=solver, begin=begin)


def test_inversion_is_undone_where_the_noise_is_the_same_at_all_levels(
    mini: TextToImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise, latents, context = mini.noise([3]), mini.noise([4]), mini.encode([""])
    monkeypatch.setattr(mini, "predict_noise", lambda z, *rest: noise)
    found = mini.invert(latents, context, steps=7, until=(0, 3))
    first, products = mini.scheduler.alphas_cumprod[0], mini.scheduler.alphas_cumprod
    clean = (latents - (1 - first).sqrt() * noise) / first.sqrt()
    for level, z in found.items():
        share = products[mini.timesteps(7)[level]]
        assert torch.allclose(z, share.sqrt() * clean + (1 - share).sqrt() * noise, atol=1e-5)
        back = mini.denoise(z, context, context, steps=7, guidance=1, begin=level)
        assert torch.allclose(back, latents, atol=1e-4)


def test_an_inverted_image_comes_back(mini: TextToImage) -> None:
    context = mini.encode([""])
    image = mini.decode(mini.denoise(mini.noise([5]), mini.encode(["a bus"]), context, steps=12, guidance=5.0))
    latents = mini.encode_images(image)
    back = mini.denoise(mini.invert(latents, context, steps=20)[0], context, context, steps=20, guidance=1)
    other = mini.denoise(mini.noise([6]), context, context, steps=20, guidance=1)
    assert (back - latents).square().mean() < 0.1 * (other - latents).square().mean()


@pytest.mark.parametrize("name", OWN)
def test_every_scheduler_draws_what_diffusers_draws_with_it(mini: TextToImage, name: str) -> None:
    pipeline = mini.pipeline()
    pipeline.scheduler = theirs(name, mini)
    pipeline.set_progress_bar_config(disable=True)
    z = mini.noise([7])
    drawn = pipeline("a bus", num_inference_steps=8, guidance_scale=6.0, latents=z, output_type="latent").images
    mine = mini.denoise(z, mini.encode(["a bus"]), mini.encode([""]), steps=8, guidance=6.0, solver=name)
    assert torch.allclose(mine, drawn, atol=1e-3)


@pytest.mark.parametrize("solver", OWN)
@pytest.mark.parametrize("steps", [2, 3, 12, 14, 25, 50])
def test_every_step_is_diffusers_own(mini: TextToImage, solver: str, steps: int) -> None:
    """With a noise that depends on all of a latent and on the level."""

    def noise(z: torch.Tensor, t: float) -> torch.Tensor:
        return torch.tanh(z.roll(1, -1) + t / 1000)

    scheduler = theirs(solver, mini)
    scheduler.set_timesteps(steps)
    z = mini.noise([1, 2])
    expected = z * scheduler.init_noise_sigma
    for t in scheduler.timesteps:
        expected = scheduler.step(noise(scheduler.scale_model_input(expected, t), t.item()), t, expected).prev_sample
    seen: list[float] = []

    def predict(z: torch.Tensor, t: float, step: int) -> torch.Tensor:
        seen.append(t)
        return noise(z, t)

    mine = mini.walk(z, predict, steps, solver=solver)
    assert seen == scheduler.timesteps.tolist()
    assert not any(isinstance(t, torch.Tensor) for t in seen)
    assert torch.allclose(mine, expected, atol=2e-5 * float(expected.abs().max()))


def test_lms_has_the_timesteps_of_the_evaluation_scripts(mini: TextToImage) -> None:
    """Their LMSDiscreteScheduler is made from the betas alone."""
    scheduler = LMSDiscreteScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", num_train_timesteps=1000
    )
    scheduler.set_timesteps(100)
    assert list(mini.sampler("lms", 100).timesteps) == scheduler.timesteps.tolist()


def test_guidance_of_each_row_is_its_own(mini: TextToImage) -> None:
    context, empty, z = mini.encode(["a cat", "a bus", "a cat"]), mini.encode([""]), mini.noise([1, 2, 3])
    scales = [1.0, 3.0, 7.5]
    together = mini.denoise(z, context, empty, steps=4, guidance=scales)
    for k, scale in enumerate(scales):
        alone = mini.denoise(z[k : k + 1], context[k : k + 1], empty, steps=4, guidance=scale)
        assert torch.allclose(together[k], alone[0], atol=1e-3)


def test_a_prompts_own_guidance_and_size_count(mini: TextToImage, whole: dict[str, np.ndarray], tmp_path: Path) -> None:
    own = [
        Job("a", TEXTS[1], 0, 5, guidance=1.0),
        Job("b", TEXTS[1], 0, 5, size=(64, 96)),
        Job("c", TEXTS[1], 0, 5),
        Job("d", TEXTS[1], 0, 5, guidance=5.0),
    ]
    generate(mini, own, tmp_path / "mixed", batch_size=4, **SETTINGS)
    drawn = _images(tmp_path / "mixed")
    assert {name: image.shape for name, image in drawn.items()} == {
        "a-0.png": (64, 64, 3),
        "b-0.png": (96, 64, 3),
        "c-0.png": (64, 64, 3),
        "d-0.png": (64, 64, 3),
    }
    assert _largest_difference({"x": drawn["c-0.png"]}, {"x": drawn["d-0.png"]}) <= 1
    generate(mini, [Job("a", TEXTS[1], 0, 5)], tmp_path / "one", steps=6, guidance=1.0, batch_size=1)
    assert _largest_difference(_images(tmp_path / "one"), {"a-0.png": drawn["a-0.png"]}) <= 1
    generate(mini, [Job("b", TEXTS[1], 0, 5)], tmp_path / "tall", batch_size=1, size=(64, 96), **SETTINGS)
    assert _largest_difference(_images(tmp_path / "tall"), {"b-0.png": drawn["b-0.png"]}) <= 1


def test_a_prompt_files_seed_is_the_pipelines(mini: TextToImage) -> None:
    """The noise of a seed is what diffusers draws with a generator on the CPU of that seed."""
    from diffusers.utils.torch_utils import randn_tensor

    theirs = randn_tensor((1, *mini.latent_shape), generator=torch.Generator().manual_seed(41337))
    assert torch.equal(mini.noise([41337]), theirs)
    tall = randn_tensor((1, 4, 24, 16), generator=torch.Generator().manual_seed(41337))
    scale = mini.image_size // mini.latent_shape[1]
    assert torch.equal(mini.noise([41337], (16 * scale, 24 * scale)), tall[:, : mini.latent_shape[0]])


def test_images_are_encoded_to_what_they_are_decoded_from(mini: TextToImage) -> None:
    z = mini.denoise(mini.noise([3]), mini.encode(["a red bus"]), mini.encode([""]), steps=8, guidance=5.0)
    image = mini.decode(z)
    again = mini.decode(mini.encode_images(image))
    assert np.abs(image.astype(float) - again).mean() < 8  # grey levels


def test_texts_over_77_tokens_are_counted_wherever_they_are_cut(mini: TextToImage, tmp_path: Path) -> None:
    """75 words and two marks are 77 tokens; in prompts, in a training's texts, and in the tables' footnotes."""
    whole, long = "cat " * 75, "cat " * 76
    assert mini.truncated([whole, "cat", long]) == [long]
    assert mini.truncated([]) == []
    mini.cut.clear()
    mini.encode([whole, "cat"])
    assert mini.cut == set()
    mini.encode([long, "cat"])
    assert mini.cut == {long}
    prompts = tmp_path / "prompts.txt"
    prompts.write_text(f"a cat\n{long.strip()}\na dog\n")
    plan = Plan(
        methods=["time"],
        metrics=["ssim"],
        images=3,
        prompts={"objects": {"source": str(prompts)}},
        replacement="a person " * 40,
        generation=Generation(steps=2),
    )
    folder = RunFolder(tmp_path / "run")
    for _ in range(2):  # the second time from what is stored
        assert run(plan, folder, "cpu") == ()
        text = folder.table("md").read_text()
        assert re.search(r"Prompts “objects”: .*, 3 prompts, 1 over 77 tokens and cut, hash", text)
        assert re.search(r"TIME: \d+ texts of its training are over 77 tokens and cut, such as “.*a person", text)
        folder.status.unlink()
