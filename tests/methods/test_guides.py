"""Rows that change no weights: their formulas in NumPy, what leaves the original as it is, and a run of them."""

import copy
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from erasebench import ErasureTask, GuidedBatch, TextToImage
from erasebench.engine.attack_run import attack_run
from erasebench.engine.dominance import dominance_run
from erasebench.engine.export import export
from erasebench.engine.run import run
from erasebench.errors import BenchError, NotApplicable
from erasebench.images.files import read_image
from erasebench.methods.safree import last_step, project
from erasebench.methods.transport import likeness
from erasebench.models.patch import attached
from erasebench.registry import METHODS
from erasebench.report.attack_picture import image_of
from erasebench.runs.attacks import AttackRequest
from erasebench.runs.dominance import DominanceRequest
from erasebench.runs.folder import RunFolder
from erasebench.runs.plan import Generation, Plan, Variant
from erasebench.runs.plan_file import load_plan
from erasebench.runs.rows import ORIGINAL
from erasebench.spectrum.command import run_spectrum
from erasebench.spectrum.request import SpectrumRequest

TASK = ErasureTask("a church", "object", "a church", "a house", (), "a church", 0)
SHAPE, STEPS = (2, 3, 4, 4), 20
SCALE = torch.tensor([3.0, 7.5]).view(-1, 1, 1, 1)
Predictions = list[dict[str, np.ndarray]]


def guide_of(name: str, **settings: Any) -> Any:
    method = METHODS.load(name)
    assert method.guide is not None
    return method.guide(TASK, method.configure("sd", "object", settings))


class Scripted(GuidedBatch):
    """A batch whose predictions are made up: "empty", "prompt" and "away", another number every step."""

    def encode(self, text: str) -> Any:
        assert text == "a church"
        return "away"

    def predict(self, z: torch.Tensor, t: float, *contexts: Any) -> tuple[torch.Tensor, ...]:
        return tuple(torch.from_numpy(predictions()[int(t)][name]) for name in contexts)


def predictions() -> Predictions:
    rng = np.random.default_rng(0)
    return [{name: rng.normal(size=SHAPE) for name in ("empty", "prompt", "away")} for _ in range(STEPS)]


def guided(name: str, **settings: Any) -> list[np.ndarray]:
    """What the sampler is given, step by step."""
    batch = Scripted(None, ["x", "y"], "prompt", "empty", SCALE.double(), STEPS)  # type: ignore[arg-type]
    predict = guide_of(name, **settings).predictor(batch)
    return [predict(torch.zeros(SHAPE), step, step).numpy() for step in range(STEPS)]


def expected(rule: Callable[[int, dict[str, np.ndarray]], np.ndarray]) -> list[np.ndarray]:
    return [rule(step, given) for step, given in enumerate(predictions())]


def same(found: Sequence[np.ndarray], wanted: Sequence[np.ndarray]) -> None:
    np.testing.assert_allclose(found, wanted, rtol=1e-9)


S = SCALE.double().numpy()


def test_negative_prompt_by_its_formula() -> None:
    same(guided("negative-prompt"), expected(lambda step, p: p["away"] + S * (p["prompt"] - p["away"])))
    same(guided("negative-prompt", trasce=True), expected(lambda step, p: p["empty"] + S * (p["prompt"] - p["away"])))


@pytest.mark.parametrize("recipe", ["weak", "medium", "strong", "max"])
def test_sld_by_its_formula(recipe: str) -> None:
    warm_up, scale, threshold, momentum_scale, beta = {  # the paper's table
        "weak": (15, 200, 0.0, 0.0, 0.0),
        "medium": (10, 1000, 0.01, 0.3, 0.4),
        "strong": (7, 2000, 0.025, 0.5, 0.7),
        "max": (0, 5000, 1.0, 0.5, 0.7),
    }[recipe]
    nu = np.zeros(SHAPE)

    def rule(step: int, p: dict[str, np.ndarray]) -> np.ndarray:
        nonlocal nu
        far = p["prompt"] - p["away"]
        mu = np.where(far < threshold, np.minimum(1, np.abs(far) * scale), 0)
        gamma = mu * (p["away"] - p["empty"]) + momentum_scale * nu
        nu = beta * nu + (1 - beta) * gamma
        begun = step / STEPS >= warm_up / 50
        return p["empty"] + S * (p["prompt"] - p["empty"] - gamma * begun)

    same(guided("sld", recipe=recipe), expected(rule))


def test_sega_by_its_formula() -> None:
    nu = np.zeros(SHAPE)

    def rule(step: int, p: dict[str, np.ndarray]) -> np.ndarray:
        nonlocal nu
        psi = -5 * (p["away"] - p["empty"])
        for image in range(SHAPE[0]):
            for channel in range(SHAPE[1]):
                own = psi[image, channel]
                own[np.abs(own) < np.quantile(np.abs(own), 0.9)] = 0
        moved = psi + 0.1 * nu
        nu = 0.4 * nu + 0.6 * moved
        return p["empty"] + S * (p["prompt"] - p["empty"]) + moved * (step / STEPS >= 10 / 50)

    same(guided("sega"), expected(rule))


def test_safree_by_its_formula() -> None:
    rng = np.random.default_rng(1)
    context, masked, concept = rng.normal(size=(6, 8)), rng.normal(size=(3, 8)), rng.normal(size=(2, 8))
    found = project(*map(torch.from_numpy, (context, masked, concept)), alpha=0.01)

    def onto(rows: np.ndarray) -> np.ndarray:
        columns = rows.T
        return columns @ np.linalg.pinv(columns.T @ columns) @ columns.T

    outside = np.eye(8) - onto(concept)
    distance = [np.linalg.norm(outside @ row) for row in masked]
    triggers = [distance[i] >= 1.01 * np.mean(distance[:i] + distance[i + 1 :]) for i in range(3)]
    moved = [outside @ onto(masked) @ row for row in context[:5]]  # start, three tokens, end
    expected = context.copy()
    for i in range(1, 4):
        expected[i] = moved[i] if triggers[i - 1] else context[i]
    cosines = [a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a, b in zip(moved, context[:5], strict=True)]
    assert 0 < sum(triggers) < 3
    assert found.triggers.tolist() == triggers
    np.testing.assert_allclose(found.context.numpy(), expected, rtol=1e-9)
    assert found.moved == pytest.approx(1 - np.mean(cosines))
    for b in (0.3, 0.5333, 0.6):
        assert last_step(b, 2.5, 5.333) == round(10 / (1 + np.exp(-5 * (10 * b - 5.333))))


def test_safree_leaves_an_empty_prompt_alone_and_replaces_a_single_token() -> None:
    context, concept = torch.randn(4, 5, dtype=torch.float64), torch.randn(1, 5, dtype=torch.float64)
    assert torch.equal(project(context, torch.zeros(0, 5, dtype=torch.float64), concept, 0.01).context, context)
    single = project(context, torch.randn(1, 5, dtype=torch.float64), concept, 0.01)
    assert single.triggers.tolist() == [True]
    torch.testing.assert_close(single.context[1] @ concept[0], torch.zeros((), dtype=torch.float64))


def test_safree_draws_the_later_steps_with_the_prompt_as_it_is(mini: TextToImage) -> None:
    seen: list[torch.Tensor] = []

    class Watched(GuidedBatch):
        def predict(self, z: torch.Tensor, t: float, *contexts: torch.Tensor) -> tuple[torch.Tensor, ...]:
            seen.append(contexts[1])
            return super().predict(z, t, *contexts)

    prompts = ["a church", "a bus at night"]
    context = mini.encode(prompts)
    batch = Watched(mini, prompts, context, mini.encode([""]), SCALE, 4)
    mini.walk(mini.noise([1, 2]), guide_of("safree").predictor(batch), 4)
    assert not torch.equal(seen[0][0], context[0])
    assert all(torch.equal(one, context) for one in seen[1:])  # the filter ends at a fifth of the steps at the latest
    seen.clear()
    mini.walk(mini.noise([1, 2]), guide_of("safree", filter=False).predictor(batch), 4)
    assert all(torch.equal(one, seen[0]) for one in seen)
    assert torch.equal(seen[0][:, 0], context[:, 0])  # the start stays


def drawn(model: TextToImage, guide: Any) -> torch.Tensor:
    prompts = ["a church", "a bus at night"]
    context, empty, noise = model.encode(prompts), model.encode([""]), model.noise([1, 2])
    if guide is None:
        return model.denoise(noise, context, empty, steps=4, guidance=[3.0, 7.5])
    batch = GuidedBatch(model, prompts, context, empty, SCALE, 4)
    return model.walk(noise, guide.predictor(batch), 4)


def test_what_does_nothing_draws_what_the_original_draws(mini: TextToImage) -> None:
    plain = drawn(mini, None)
    assert torch.equal(drawn(mini, guide_of("negative-prompt", text="")), plain)
    torch.testing.assert_close(drawn(mini, guide_of("sld", scale=0.0)), plain, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(drawn(mini, guide_of("sega", scale=0.0)), plain, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(drawn(mini, guide_of("sld", recipe="max")), plain, atol=0.1)


def test_transport_by_its_formula(mini: TextToImage) -> None:
    rng = np.random.default_rng(2)
    context, concept = rng.normal(size=(4, 8)), rng.normal(size=(4, 8))
    cosine = (context * concept).sum() / np.linalg.norm(context) / np.linalg.norm(concept)
    rows = torch.from_numpy(context), torch.from_numpy(concept)
    assert likeness(*rows, {1, 2}, {3, 4}) == pytest.approx(max(cosine, 0))
    assert likeness(*rows, {1, 2, 3}, {3, 4}) == pytest.approx(max(cosine, 0.5))
    assert likeness(rows[1], rows[1], set(), {3, 4}) == pytest.approx(1)

    weights = {name: 1.5 * one.detach() for name, one in mini.unet.named_parameters() if ".attn2.to_k." in name}
    plain = drawn(mini, None)
    with attached(mini, weights):
        found, erased = drawn(mini, guide_of("transport")), drawn(mini, None)
        linear = drawn(mini, guide_of("transport", squared=False))
        half = copy.copy(mini)  # as bf16 is drawn, and what isn't finite once more by the model itself
        with attached(half, weights):
            assert torch.equal(drawn(half, guide_of("transport")), found)
    assert mini.attached == []
    torch.testing.assert_close(found[0], erased[0], rtol=1e-4, atol=1e-4)  # "a church" is what it asks for
    wanted, empty = mini.encode(["a bus at night"]), mini.encode([""])
    ids = [set(mini.tokenizer(text).input_ids[1:-1]) for text in ("a bus at night", "a church")]
    share = likeness(wanted[0], mini.encode(["a church"])[0], *ids)
    assert share < 1
    before = dict(mini.unet.named_parameters())
    for power, image in ((2, found[1]), (1, linear[1])):
        mixed = {name: before[name].detach().lerp(one, share**power) for name, one in weights.items()}
        with attached(mini, mixed):
            between = mini.denoise(mini.noise([2]), wanted, empty, steps=4, guidance=[7.5])
        torch.testing.assert_close(image, between[0], rtol=1e-4, atol=1e-4)
    assert not torch.allclose(found[1], plain[1], atol=1e-3)
    assert not torch.allclose(found[1], erased[1], atol=1e-3)


def test_gradients_pass_through_transport(mini: TextToImage) -> None:
    weights = {name: 1.5 * one.detach() for name, one in mini.unet.named_parameters() if ".attn2.to_k." in name}
    context = mini.encode(["a bus"]).requires_grad_(True)
    with attached(mini, weights):
        batch = GuidedBatch(mini, ["a bus"], context, mini.encode([""]), SCALE[:1], 4)
        guide_of("transport").predictor(batch)(mini.noise([1]), 500.0, 2).square().mean().backward()
    assert context.grad is not None
    assert float(context.grad.abs().max()) > 0


def test_what_an_attack_changed_is_not_scaled(mini: TextToImage) -> None:
    """As relearning does it: in place, while the row's weights are attached."""
    name, own = next((name, one) for name, one in mini.unet.named_parameters() if ".attn2.to_k." in name)
    z, context, before = mini.noise([1]), mini.encode(["a bus"]), own.detach().clone()
    with attached(mini, {name: 3 * before}):
        own.data.add_(0.1)
        found = mini.predict_noise_between(0.25, z, 500.0, context)
    with attached(mini, {name: 1.5 * before + 0.1}):
        torch.testing.assert_close(found, mini.predict_noise(z, 500.0, context), rtol=1e-4, atol=1e-4)


def test_a_transported_prompt_is_a_text(mini: TextToImage) -> None:
    context = mini.encode(["a bus"])
    batch = GuidedBatch(mini, [context[0]], context, mini.encode([""]), SCALE[:1], 4)
    with pytest.raises(NotApplicable, match="has no tokens"):
        guide_of("transport").predictor(batch)


@pytest.mark.parametrize(
    ("variant", "message"),
    [
        (Variant(method="transport"), "scales what a method trained"),
        (Variant(method="advunlearn", guide="transport"), "advunlearn changes other parts too"),
    ],
)
def test_transport_stands_beside_a_unets_weights_alone(variant: Variant, message: str, tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=message):
        run(Plan(variants={"row": variant}, metrics=["ssim"], images=1), RunFolder(tmp_path / "run"), "cpu")
    assert not (tmp_path / "run" / "images").exists()


def test_other_parts_than_the_unet_are_not_scaled(mini: TextToImage) -> None:
    name, one = next(iter(mini.vae.named_parameters()))
    with attached(mini, {f"vae.{name}": 2 * one.detach()}), pytest.raises(BenchError, match=f"changes vae.{name}"):
        drawn(mini, guide_of("transport"))


def test_a_recipe_that_is_none_is_refused() -> None:
    with pytest.raises(BenchError, match="recipe"):
        METHODS.load("sld").configure("sd", "object", {"recipe": "hyp-strong"})


@pytest.mark.filterwarnings("ignore")  # the pipeline is old
def test_diffusers_own_pipeline_of_sega_draws_what_we_draw(mini: TextToImage) -> None:
    theirs = pytest.importorskip("diffusers.pipelines.deprecated").SemanticStableDiffusionPipeline
    parts = {part: value for part, value in mini.pipeline().components.items() if part != "image_encoder"}
    pipeline = theirs(**parts, requires_safety_checker=False)
    pipeline.set_progress_bar_config(disable=True)
    noise, prompt, away = mini.noise([5]), "a photo of a house", TASK.prompt
    options = {"editing_prompt": away, "reverse_editing_direction": True, "guidance_scale": 7.5, "output_type": "np"}
    found = pipeline(prompt, latents=noise, **options).images[0] * 255
    batch = GuidedBatch(mini, [prompt], mini.encode([prompt]), mini.encode([""]), SCALE[1:], 50)
    ours = mini.decode(mini.walk(noise, guide_of("sega").predictor(batch), 50))[0]
    assert np.abs(found - ours).max() <= 2  # grey levels; 8 where momentum leaves itself out


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    plan = Plan(
        concept="garbage truck",
        methods=["sld", "negative-prompt", "uce"],
        variants={
            "weak": Variant(method="sld", settings={"recipe": "weak"}),
            "uce+sld": Variant(method="uce", guide="sld"),
            "uce+transport": Variant(method="uce", guide="transport"),
        },
        metrics=["concept_rate", "ssim", "train_seconds", "spectrum"],
        images=2,
        generation=Generation(steps=4),
        spectrum={"words": 4, "levels": 1},  # type: ignore[arg-type]
    )
    place = RunFolder(tmp_path_factory.mktemp("guides") / "run")
    assert run(plan, place, "cpu") == ()
    return place


def scored(folder: RunFolder, row: str, metric: str) -> Any:
    return json.loads((folder.root / "scores" / f"{row}.{metric}.json").read_text())


@pytest.mark.slow
def test_they_are_rows_whose_costs_do_not_apply(folder: RunFolder) -> None:
    values = {row: scored(folder, row, "ssim")["value"] for row in ("sld", "weak", "negative-prompt")}
    assert len(set(values.values())) == 3
    assert all(0 < value < 1 for value in values.values())
    assert scored(folder, "sld", "train_seconds")["reason"] == "nothing was trained"
    assert scored(folder, "sld", "spectrum")["reason"] == "it changes no weights"
    table = (folder.root / "leaderboard.md").read_text()
    assert "SLD changes no weights but how images are sampled: 3 UNet forwards a step where others take 2." in table
    assert "Negative prompt changes no weights but how images are sampled, by 2 UNet forwards a step as usual." in table


@pytest.mark.slow
def test_a_guide_samples_with_the_weights_of_a_trained_row(folder: RunFolder) -> None:
    values = {row: scored(folder, row, "ssim")["value"] for row in ("sld", "uce", "uce+sld")}
    assert len(set(values.values())) == 3
    assert folder.patch("uce+sld", 0).read_bytes() == folder.patch("uce", 0).read_bytes()
    assert scored(folder, "uce+sld", "train_seconds")["value"] == scored(folder, "uce", "train_seconds")["value"]
    assert scored(folder, "uce+sld", "spectrum")["value"] == scored(folder, "uce", "spectrum")["value"]
    assert (
        "UCE + SLD changes weights and how images are sampled: 3 UNet" in (folder.root / "leaderboard.md").read_text()
    )
    with pytest.raises(BenchError, match="drawn with sld"):
        export(folder, "uce+sld", folder.root / "model")


def test_two_methods_are_a_row_of_trained_weights_and_a_guide(tmp_path: Path) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text(
        "methods: [esd+sld]\nmetrics: [ssim]\nimages: 2\nsettings: {esd: {steps: 3}, sld: {recipe: weak}}\n"
    )
    plan = load_plan(str(file), {})
    assert plan.methods == []
    assert plan.rows == {
        "esd+sld": Variant(method="esd", settings={"steps": 3}, guide="sld", guide_settings={"recipe": "weak"})
    }
    assert Plan(**plan.model_dump()) == plan


@pytest.mark.parametrize("pair", [("sld", "esd"), ("esd", "uce"), ("sld", "sega")])
def test_other_pairs_are_refused(pair: tuple[str, str], tmp_path: Path) -> None:
    plan = Plan(variants={"both": Variant(method=pair[0], guide=pair[1])}, metrics=["ssim"], images=1)
    with pytest.raises(BenchError, match=r"both: .* is to change weights"):
        run(plan, RunFolder(tmp_path / "run"), "cpu")


@pytest.mark.slow
def test_attacks_draw_with_a_rows_guide(folder: RunFolder) -> None:
    rows = ("sld", "uce", "uce+sld")
    found = attack_run(folder, AttackRequest(names=("guidance",), rows=rows, targets=1, budget=1), "cpu")
    assert found.failures == {}
    plain = {cell.row: cell for cell in found.cells if cell.attack == "none"}
    drawn = [read_image(image_of(folder, plain[row], plain[row].targets[0].prompt)) for row in (ORIGINAL, *rows)]
    assert all(not np.array_equal(one, other) for k, one in enumerate(drawn) for other in drawn[:k])
    assert len({plain[row].key for row in rows}) == len(rows)


@pytest.mark.slow
def test_a_transported_row_has_no_spectrum(folder: RunFolder) -> None:
    assert scored(folder, "uce+transport", "ssim")["value"] != scored(folder, "uce", "ssim")["value"]
    assert scored(folder, "uce+transport", "spectrum")["reason"] == "each prompt is drawn with weights of its own"
    assert "Prompts are predicted one by one" in (folder.root / "leaderboard.md").read_text()
    with pytest.raises(BenchError, match=r"uce\+transport draws each prompt with weights of its own"):
        run_spectrum(folder, SpectrumRequest(methods=["uce+transport"], limit=2), "cpu")


@pytest.mark.slow
def test_what_needs_weights_says_so(folder: RunFolder, tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="sld changes no weights"):
        export(folder, "sld", tmp_path / "model")
    assert not (tmp_path / "model").exists()
    with pytest.raises(BenchError, match="sld: images are sampled in another way"):
        dominance_run(folder, DominanceRequest(concepts=("cat", "dog"), rows=("sld",), images=1), "cpu")
    with pytest.raises(BenchError, match="sld changes no weights"):
        run_spectrum(folder, SpectrumRequest(methods=["sld"], limit=2), "cpu")
