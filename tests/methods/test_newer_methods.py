"""RECE, AGE, SalUn, SPM and several targets against their equations, written out a second time."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from toy import CODES, STUDENT, TEACHER, Caught

from erasebench import ErasureTask, Method, TextToImage, Trainer
from erasebench.erasure.contract import TASK
from erasebench.erasure.low_rank import LowRank
from erasebench.errors import BenchError
from erasebench.methods import age, multi_target, salun, spm
from erasebench.methods.uce import guide_of
from erasebench.models.parameter_groups import select
from erasebench.models.patch import difference, snapshot
from erasebench.registry import METHODS

C, E, G, P = CODES["concept"], CODES[""], CODES["guide"], CODES["other"]
Z = torch.tensor([0.3, -1.0, 2.0, 0.5])


def squares(difference: torch.Tensor) -> float:
    return float((difference**2).mean())


def erased(mini: TextToImage, name: str, task: ErasureTask = TASK, **settings: object) -> tuple[dict, dict]:  # type: ignore[type-arg]
    """The weights that a method changed, before and after it, float64."""
    method: Method = METHODS.load(name)
    before = snapshot(mini.unet)
    config = method.configure("mini", task.kind, settings)
    try:
        method.erase(mini, task, config, Trainer(mini, config.parameters, 0))
        patch = difference(before, mini.unet)
    finally:
        mini.unet.load_state_dict(before)
    return {key: before[key].double().numpy() for key in patch}, {key: patch[key].double().numpy() for key in patch}


@pytest.mark.parametrize("rounds", [1, 2])
def test_rece_is_uce_and_then_its_closed_forms(mini: TextToImage, rounds: int) -> None:
    uce = {"regularisation": 0.5, "expand": False, "guide": "a vehicle", "preserve": ["a cat"]}
    own = {"rounds": rounds, "attack_regularisation": 0.2, "round_regularisation": 0.3, "round_preserve_scale": 0.4}
    original, after = erased(mini, "rece", **uce, **own)
    _, weights = erased(mini, "uce", **uce)
    c, guide, kept = mini.encode([TASK.prompt, "a vehicle", "a cat"]).double().numpy()
    one = np.eye(c.shape[1])
    for _ in range(rounds):
        # The embedding by which the edited weights give most nearly what the original's gave for the concept.
        stacked, wanted = (np.concatenate([part[key] for key in weights]) for part in (weights, original))
        found = np.linalg.solve(0.2 * one + stacked.T @ stacked, stacked.T @ wanted @ c.T).T
        assert np.square(found @ stacked.T - c @ wanted.T).sum() < 0.1 * np.square(c @ stacked.T - c @ wanted.T).sum()
        right = np.linalg.inv(0.3 * one + found.T @ found + 0.4 * kept.T @ kept)
        weights = {key: (0.3 * w + w @ guide.T @ found + 0.4 * w @ kept.T @ kept) @ right for key, w in weights.items()}
    for key, weight in weights.items():
        assert np.linalg.norm(after[key] - weight) < 1e-4 * np.linalg.norm(weight), key


def test_reces_settings_are_its_authors() -> None:
    method: Method = METHODS.load("rece")
    found = {kind: method.configure("sd", kind, {}) for kind in ("nudity", "object", "style")}
    told = {kind: (config.rounds, config.attack_regularisation, config.guide) for kind, config in found.items()}
    assert told == {"nudity": (3, 0.1, " "), "object": (1, 1e-3, " "), "style": (1, 1e-3, "art")}
    nudity = found["nudity"]
    assert (nudity.regularisation, nudity.round_regularisation, nudity.round_preserve_scale) == (0.5, 0.1, 0.1)
    bare = ErasureTask("x", "object", "x", "", (), "x", 0)
    config = method.configure("mini", "object", {})
    with pytest.raises(BenchError, match="give --replacement"):
        guide_of(bare, config)


def test_age_turns_the_concept_into_the_word_that_it_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both errors in x̂0 space; the search comes after an update, so not before the first."""
    monkeypatch.setattr(age, "word_bank", lambda *given: ["other"])
    caught = Caught("age", eta=1.5, preservation=0.3)
    t = caught.model.timesteps(50)[0]
    alpha = float(caught.model.scheduler.alphas_cumprod[t])
    wanted = TEACHER * P * Z - 1.5 * (TEACHER * C * Z - TEACHER * P * Z)
    expected = squares(STUDENT * C * Z - wanted) + 0.3 * squares((STUDENT - TEACHER) * P * Z)
    for step, gradients in ((0, 2), (1, 3)):
        before = caught.model.forwards.with_gradient
        value, _ = caught.evaluate(step)
        assert value == pytest.approx((1 - alpha) / alpha * expected, rel=1e-4)
        assert caught.model.forwards.with_gradient - before == gradients


@pytest.mark.parametrize("hard", [True, False])
def test_ages_search_goes_to_the_word_that_is_hurt_most(hard: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the toy a word is hurt by the square of its code: "concept" has 2 and "" has 0.5."""
    monkeypatch.setattr(age, "word_bank", lambda *given: ["", "concept"])
    caught = Caught("age", hard=hard, search_lr=0.1)
    for step in range(40):
        caught.evaluate(step)
    logits = caught.trainer._kept["logits"]
    assert float(logits[1] - logits[0]) > 1


def test_the_largest_weights_sum_to_one_and_pass_gradients_among_themselves() -> None:
    weights = torch.tensor([0.1, 0.4, 0.2, 0.3], requires_grad=True)
    found = age.largest(weights, 2)
    assert found.tolist() == pytest.approx([0, 4 / 7, 0, 3 / 7])
    (gradient,) = torch.autograd.grad(found @ torch.tensor([9.0, 1.0, 9.0, 2.0]), weights)
    # d/da of (a + 2b) / (a + b) is -b / (a + b)², and d/db is a / (a + b)².
    assert gradient.tolist() == pytest.approx([0, -0.3 / 0.49, 0, 0.4 / 0.49])
    assert torch.equal(age.largest(weights, 9), weights / weights.sum())


@pytest.mark.parametrize("softness", [0.0, 0.5])
def test_several_targets_take_the_nearest(softness: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multi_target, "targets", lambda *given: ["guide", "other"])
    monkeypatch.setattr(multi_target, "word_bank", lambda *given: [""])
    caught = Caught("multi-target", softness=softness, preservation=0.3)
    losses = np.array([squares(STUDENT * C * Z - TEACHER * code * Z) for code in (G, P)])
    scale = softness * losses.mean()
    nearest = losses.min() if not softness else -scale * np.log(np.exp(-losses / scale).mean())
    value, _ = caught.evaluate()
    assert value == pytest.approx(nearest + 0.3 * squares((STUDENT - TEACHER) * E * Z), rel=1e-4)
    assert {"step": 0, "role": "target", "sampled": "other"} in caught.trainer.history


def test_a_soft_minimum_lies_between_the_least_and_the_mean() -> None:
    losses = torch.tensor([0.2, 0.5, 1.1])
    found = [float(multi_target.minimum(losses, softness)) for softness in (0.0, 0.05, 0.5, 50.0)]
    assert found[0] == pytest.approx(0.2)
    assert found == sorted(found)
    assert found[-1] == pytest.approx(0.6, abs=0.01)


def test_targets_lie_below_the_ceiling(mini: TextToImage) -> None:
    method: Method = METHODS.load("multi-target")
    cat = ErasureTask("cat", "object", "cat", "a dog", (), "a cat", 0)
    found = {c: multi_target.targets(mini, cat, method.configure("mini", "object", {"ceiling": c})) for c in (0.5, 1.0)}
    assert [len(words) for words in found.values()] == [10, 10]
    assert "cats" in found[1.0]
    assert not {"cat", "cats", "fish"} & set(found[0.5])
    with pytest.raises(BenchError, match="raise `ceiling`"):
        multi_target.targets(mini, cat, method.configure("mini", "object", {"ceiling": 0.0, "words": 12}))


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_saluns_mask_is_the_largest_summed_gradients_of_all_weights_together(mini: TextToImage, share: float) -> None:
    method: Method = METHODS.load("salun")
    settings = {"share": share, "batch": 2, "parameters": "xattn-kv", "mask_guidance": 2.0}
    config = method.configure("mini", "object", settings)
    trainer = Trainer(mini, "xattn-kv", 0)
    images = torch.randn(4, *mini.latent_shape, generator=torch.Generator().manual_seed(1))
    drawn: list[torch.Tensor] = []
    noise, integers = trainer.noise, torch.randint

    def kept(batch: int, generator: torch.Generator | None = None) -> torch.Tensor:
        drawn.append(noise(batch, generator))
        return drawn[-1]

    def kept_too(high: int, size: tuple[int, ...], generator: torch.Generator | None = None) -> torch.Tensor:
        drawn.append(integers(high, size, generator=generator))
        return drawn[-1]

    trainer.noise = kept  # type: ignore[method-assign]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "randint", kept_too)
        mask = salun.saliency(mini, config, trainer, "a photo of a cat", images)
    weights = select(mini.unet, "xattn-kv")
    sums = {name: np.zeros(weight.shape) for name, weight in weights.items()}
    with trainer.trainable():
        for k in range(2):
            t, noise_k, z = drawn[2 * k], drawn[2 * k + 1], images[2 * k : 2 * k + 2]
            z = mini.add_noise(z, noise_k, t)
            on, off = (mini.predict_noise(z, t, mini.encode([text])) for text in ("a photo of a cat", ""))
            loss = -(noise_k - (3.0 * on - 2.0 * off)).square().mean()
            for name, gradient in zip(weights, torch.autograd.grad(loss, list(weights.values())), strict=True):
                sums[name] += gradient.double().numpy()
    sizes = np.abs(np.concatenate([part.ravel() for part in sums.values()]))
    found = np.concatenate([mask[name].numpy().ravel() for name in sums])
    assert found.sum() == pytest.approx(share * len(sizes), abs=2)
    top = np.zeros(len(sizes), bool)
    top[np.argsort(-sizes)[: int(found.sum())]] = True
    assert (top == found).mean() > 0.999  # but for rounding at the threshold


def test_saluns_masked_weights_stay(mini: TextToImage) -> None:
    quick = {"images": 2, "steps": 2, "batch": 2, "sampler_steps": 3, "share": 0.1}
    before, after = erased(mini, "salun", **quick)
    moved = sum(int((after[key] != before[key]).sum()) for key in after)
    group = sum(weight.numel() for weight in select(mini.unet, "xattn").values())
    assert 0 < moved <= 0.1 * group
    assert not any(weight._backward_hooks for weight in mini.unet.parameters())


def test_saluns_loss_forgets_towards_the_students_own_replacement(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Trainer, "drawn_images", lambda trainer, prompts, *sampler: Z.view(1, 1, 2, 2))
    monkeypatch.setattr(salun, "prompts", lambda *given: ("concept", "guide"))
    monkeypatch.setattr(salun, "saliency", lambda *given: {"attn2.weight": torch.ones(1, 1)})
    caught = Caught("salun", alpha=0.25, batch=1)
    caught.trainer.integers = lambda high, batch: torch.zeros(batch, dtype=torch.long)  # type: ignore[method-assign]
    alpha = caught.model.scheduler.alphas_cumprod[0]
    z = (alpha.sqrt() + (1 - alpha).sqrt()) * Z
    value, gradient = caught.evaluate()
    forgetting, keeping = STUDENT * (C - G) * z, STUDENT * G * z - Z
    assert value == pytest.approx(squares(forgetting) + 0.25 * squares(keeping), rel=1e-4)
    expected = float((2 * forgetting * C * z).mean() + 0.25 * (2 * keeping * G * z).mean())  # the target is no variable
    assert gradient == pytest.approx(expected, rel=1e-4)


def test_spm_is_esds_loss_and_the_anchors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spm, "anchor", lambda concept, *given: torch.full_like(concept, P))
    monkeypatch.setattr("erasebench.models.text_to_image.TextToImage.positions", 3)
    caught = Caught("spm", parameters="transformers", eta=1.5, anchoring=7.0, anchors=2)
    value, gradient = caught.evaluate()
    erasing = STUDENT * C * Z - (TEACHER * E * Z - 1.5 * (TEACHER * C * Z - TEACHER * E * Z))
    kept = (STUDENT - TEACHER) * P * Z
    assert value == pytest.approx(squares(erasing) + 7 * squares(kept), rel=1e-4)
    assert gradient == pytest.approx(float((2 * erasing * C * Z).mean() + 7 * (2 * kept * P * Z).mean()), rel=1e-4)
    assert (caught.options["optimiser"], caught.options["weight_decay"]) == ("adamw", 0.01)


def test_spms_anchors_point_away_from_the_concept() -> None:
    generator = torch.Generator().manual_seed(0)
    concept = torch.tensor([[[3.0, 4.0], [0.0, 0.0], [5.0, 0.0]]])  # two tokens, and a padded vector of the text
    drawn = torch.cat([spm.anchor(concept, 2, generator) for _ in range(800)])
    lengths = drawn.flatten(2).norm(dim=2)
    assert drawn[:, 1].eq(0).all()
    assert drawn[:, 2, 1].eq(0).all()
    assert 0.8 * 5 <= float(lengths[:, 0].min()) < 0.82 * 5
    assert 1.18 * 5 < float(lengths[:, 2].max()) <= 1.2 * 5 + 1e-5
    cosine = drawn[:, 0] @ torch.tensor([0.6, 0.8]) / lengths[:, 0]
    # In the plane a direction's density is min(1, 1 - cos) times a constant; uniform ones have a mean cosine of 0.
    assert float(cosine.mean()) == pytest.approx(-0.25 / (1 - 1 / np.pi), abs=0.06)


@pytest.mark.parametrize("kernel", [0, 3])
def test_low_rank_gradients_are_autograds(kernel: int) -> None:
    generator = torch.Generator().manual_seed(0)
    shape = (6, 4, kernel, kernel) if kernel else (6, 4)
    weight = torch.nn.Parameter(torch.randn(shape, generator=generator))
    original = weight.detach().clone()
    low = LowRank({"w": weight}, {"w": original}, 2, generator)
    down, up = low.tensors["down/w"], low.tensors["up/w"]
    assert up.eq(0).all()
    with torch.no_grad():
        up.normal_(generator=generator)
    low.write()
    change = (weight - original).detach().flatten(1)
    assert int(torch.linalg.matrix_rank(change)) == 2
    target = torch.randn(shape, generator=generator)

    def loss(w: torch.Tensor) -> torch.Tensor:
        return (w - target).pow(4).sum()

    loss(weight).backward()
    low.take_gradients()
    by_hand = torch.autograd.grad(loss(original + (up @ down).view(shape)), (down, up))
    torch.testing.assert_close((down.grad, up.grad), by_hand)
    assert weight.grad is None


def test_spm_changes_every_matrix_of_the_transformers_by_rank_one(mini: TextToImage) -> None:
    before, after = erased(mini, "spm", steps=3, warmup=1, batch=1, sampler_steps=3, anchors=2)
    assert set(after) == set(select(mini.unet, "transformers"))
    for key, weight in after.items():
        values = np.linalg.svd((weight - before[key]).reshape(len(weight), -1), compute_uv=False)
        assert values[1] < 1e-3 * values[0] + 1e-5, key


@pytest.mark.parametrize("name", ["age", "multi-target", "salun", "spm"])
def test_steps_lower_the_loss(mini: TextToImage, name: str) -> None:
    """On the same noise, level and embeddings; the search has one word only."""
    method: Method = METHODS.load(name)
    quick = {"steps": 8, "batch": 2, "sampler_steps": 4, "images": 4, "warmup": 0, "anchoring": 1.0, "lr": 5e-4}
    quick |= {"words": 30, "closest": 1, "bank": 1, "targets": 2, "cycles": 1}
    known = {key: value for key, value in quick.items() if key in method.config.model_fields}
    config = method.configure("mini", "object", known)
    trainer, before = Trainer(mini, config.parameters, 0), snapshot(mini.unet)
    fit, losses = trainer.fit, list[float]()

    def watched(loss: Callable[[int], torch.Tensor], **options: Any) -> None:
        state = trainer.generator.get_state()

        def again(step: int) -> torch.Tensor:
            trainer.generator.set_state(state)
            value = loss(0)
            losses.append(float(value.detach()))
            return value

        fit(again, **options)

    trainer.fit = watched  # type: ignore[method-assign]
    try:
        method.erase(mini, TASK, config, trainer)
    finally:
        mini.unet.load_state_dict(before)
    assert len(losses) == 8
    assert losses[-1] < losses[0]
