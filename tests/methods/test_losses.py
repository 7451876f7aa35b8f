"""Every loss against its equation, written out by hand on a model of one weight: value, gradient, stop-gradients."""

import numpy as np
import pytest
import torch
from toy import CODES, STUDENT, TEACHER, Caught

from erasebench import Method, Trainer
from erasebench.methods.ablating import concept_prompts, rescaled
from erasebench.methods.adversarial_preservation import gumbel_softmax
from erasebench.methods.all_but_one import semantic_guidance
from erasebench.methods.esd import target as esd_target
from erasebench.methods.forget_me_not import attention_norm
from erasebench.methods.race import attacked
from erasebench.registry import METHODS

C, E, G, P = CODES["concept"], CODES[""], CODES["guide"], CODES["other"]
Z = torch.tensor([0.3, -1.0, 2.0, 0.5])


def squares(difference: torch.Tensor) -> float:
    return float((difference**2).mean())


def derivative(difference: torch.Tensor, inner: torch.Tensor) -> float:
    """Of the mean of difference², where `inner` is the derivative of the difference."""
    return float((2 * difference * inner).mean())


def test_esd_is_equation_6_and_only_the_student_on_the_concept_learns() -> None:
    value, gradient = Caught("esd", eta=1.5).evaluate()
    target = TEACHER * E * Z - 1.5 * (TEACHER * C * Z - TEACHER * E * Z)
    difference = STUDENT * C * Z - target
    assert value == pytest.approx(squares(difference))
    assert gradient == pytest.approx(derivative(difference, C * Z))


def test_esd_2024_draws_latents_and_targets_from_the_original() -> None:
    caught = Caught("esd", recipe="2024")
    assert (caught.options["steps"], caught.options["lr"]) == (200, 5e-5)
    assert caught.make is not None
    caught.model.unet.attn2.weight.data.fill_(STUDENT)
    caught.trainer.noise = lambda batch, generator=None: torch.ones(batch, 1, 2, 2)  # type: ignore[method-assign]
    drawn = caught.make(torch.Generator().manual_seed(0), 3)
    z = drawn["z"]
    assert z.shape == (3, 1, 1, 2, 2)
    assert torch.allclose(drawn["target"], esd_target(TEACHER * C * z, TEACHER * E * z, 1.0))


def test_sdd_distils_the_student_into_itself_and_stops_the_gradient_of_the_target() -> None:
    value, gradient = Caught("sdd").evaluate()
    difference = STUDENT * (C - E) * Z
    assert value == pytest.approx(squares(difference))
    assert gradient == pytest.approx(derivative(difference, C * Z))


def test_naive_preserve_is_the_slides_equation_1() -> None:
    value, gradient = Caught("naive-preserve", preserved="other", neutral="guide", preservation=0.3).evaluate()
    erased, kept = (STUDENT * C - TEACHER * G) * Z, (STUDENT - TEACHER) * P * Z
    assert value == pytest.approx(squares(erased) + 0.3 * squares(kept))
    assert gradient == pytest.approx(derivative(erased, C * Z) + 0.3 * derivative(kept, P * Z))


def test_all_but_one_detaches_the_empty_prompt_in_the_concept_loss_alone() -> None:
    """Equations 11 and 12; one student forward on ∅ serves both."""
    target, empty = torch.tensor([0.1, 0.2, -0.3, 0.4]), TEACHER * E * Z
    batch = {
        "z": Z.view(1, 1, 2, 2),
        "t": torch.tensor([500]),
        "target": target.view(1, 1, 2, 2),
        "empty": empty.view(1, 1, 2, 2),
    }
    caught = Caught("all-but-one", batch, student_guidance=3.0, penalty=0.5)
    value, gradient = caught.evaluate()
    erasing, kept = 3.0 * STUDENT * (C - E) * Z - target, STUDENT * E * Z - empty
    assert value == pytest.approx(squares(erasing) + 0.5 * squares(kept))
    assert gradient == pytest.approx(derivative(erasing, 3.0 * C * Z) + 0.5 * derivative(kept, E * Z), rel=1e-5)
    assert caught.model.forwards.with_gradient == 2
    assert caught.options["optimiser"] == "adamw"
    logged = caught.trainer.history[-1]
    assert (logged["concept_loss"], logged["penalty"]) == pytest.approx((squares(erasing), squares(kept)))


@pytest.mark.parametrize(("scale", "name"), [(-1.0, "SDD"), (-2.0, "ESD")])
def test_all_but_one_reduces_to_other_methods_targets(scale: float, name: str) -> None:
    """Without threshold and warm-up, C_I = {(c, −γ1)} gives SDD's target and {(c, −2γ1)} ESD's with η = 1."""
    caught = Caught(
        "all-but-one", instructions=[(scale * 7.5, "concept")], kappa=0.0, warmup=0, sampler_steps=4, batch=2
    )
    assert caught.make is not None
    caught.trainer.noise = lambda batch, generator=None: torch.randn(batch, 1, 2, 2)  # type: ignore[method-assign]
    drawn = caught.make(torch.Generator().manual_seed(1), 5)
    z, empty = drawn["z"], drawn["empty"]
    assert z.shape == (5, 2, 1, 2, 2)
    reached = empty + drawn["target"] / 7.5  # what ε_θ(c) has to be where ε_θ(∅) stays
    wanted = empty if name == "SDD" else esd_target(TEACHER * C * z, TEACHER * E * z, 1.0)
    assert torch.allclose(reached, wanted, rtol=1e-4, atol=1e-4 * float(wanted.abs().max()))


def test_all_but_one_pushes_off_the_concept_and_pulls_to_its_replacement_by_default() -> None:
    caught = Caught("all-but-one", kappa=0.0, warmup=2, sampler_steps=4)
    assert caught.make is not None
    caught.trainer.noise = lambda batch, generator=None: torch.randn(batch, 1, 2, 2)  # type: ignore[method-assign]
    drawn = caught.make(torch.Generator().manual_seed(1), 12)
    direction = 7.5 * TEACHER * drawn["z"]
    levels = [caught.model.timesteps(4).index(int(t)) for t in drawn["t"][:, 0]]
    assert {level < 2 for level in levels} == {True, False}
    for k, level in enumerate(levels):
        wanted = (C - E) if level < 2 else (C - E) - (C - E) + (G - E)  # no δ in the warm-up
        assert torch.allclose(drawn["target"][k], direction[k] * wanted, atol=1e-5)


def test_the_threshold_keeps_each_channels_largest_entries() -> None:
    difference = torch.zeros(2, 2, 2, 5)
    difference[0, 0] = torch.arange(10.0).view(2, 5) - 4.5  # |Δ| from 0.5 to 4.5, each twice
    difference[0, 1] = 100.0
    difference[1, 0, 0, 0] = -3.0
    guidance = semantic_guidance([(2.0, difference)], 0.9, torch.tensor([1, 1]))
    assert guidance[0, 0].flatten().nonzero().flatten().tolist() == [0, 9]
    assert guidance[0, 0].flatten()[[0, 9]].tolist() == [-9.0, 9.0]
    assert (guidance[0, 1] == 200.0).all()  # equal entries all reach their quantile
    assert guidance[1, 0, 0, 0] == -6.0
    assert semantic_guidance([(2.0, difference)], 0.9, torch.tensor([0, 1]))[0].abs().sum() == 0


def test_instructions_add_up() -> None:
    a, b = torch.randn(1, 1, 4, 4), torch.randn(1, 1, 4, 4)
    both = semantic_guidance([(1.0, a), (-0.5, b)], 0.0, torch.tensor([1]))
    assert torch.allclose(both, a - 0.5 * b)
    assert float(semantic_guidance([], 0.9, torch.tensor([1])).sum()) == 0


@pytest.mark.parametrize("variant", ["model", "noise"])
def test_ablating_is_equation_4_or_5(variant: str) -> None:
    caught = Caught("ablating", variant=variant, images=1, sampler_steps=1, batch=1, prior=0.25, rescale=False)
    caught.trainer.integers = lambda high, batch: torch.full((batch,), 0)  # type: ignore[method-assign]
    noises = iter([caught.z, 2 * caught.z])  # the prior term draws its own
    caught.trainer.noise = lambda batch, generator=None: next(noises)  # type: ignore[method-assign]
    value, gradient = caught.evaluate()
    alpha = caught.model.scheduler.alphas_cumprod[0]
    latent = caught.trainer.shared.made_once({"again": 1}, lambda generator: {"x": Z})["x"]
    assert torch.equal(latent, Z)
    anchor, concept = G, CODES["phrase"]  # the prompt "guide", and "phrase" in its place
    # The anchor's latent: one DPM-Solver++ step from z at its only level to the clean image.
    start = caught.model.scheduler.alphas_cumprod[501]  # "leading" spacing of one step
    guided = TEACHER * (E + 6.0 * (G - E))
    clean = (Z - (1 - start).sqrt() * guided * Z) / start.sqrt()
    z = alpha.sqrt() * clean + (1 - alpha).sqrt() * Z
    target = STUDENT * anchor * z if variant == "model" else Z
    other = alpha.sqrt() * clean + (1 - alpha).sqrt() * 2 * Z
    difference, prior = STUDENT * concept * z - target, STUDENT * anchor * other - 2 * Z
    assert value == pytest.approx(squares(difference) + 0.25 * squares(prior), rel=1e-4)
    expected = derivative(difference, concept * z) + 0.25 * derivative(prior, anchor * other)
    assert gradient == pytest.approx(expected, rel=1e-4)


def test_ablating_asks_for_the_concept_as_its_authors_do() -> None:
    from toy import TASK

    style = TASK.__class__("van gogh", "style", "van gogh", "a painting", (), "in the style of van gogh", 0)
    first, *rest = concept_prompts(style, "a cat")  # drawn uniformly: 1/3 and 2/3
    assert (first, rest) == ("a cat, in the style of van gogh", ["in van gogh's style, a cat"] * 2)
    nudity = TASK.__class__("nudity", "nudity", "nudity", "a person wearing clothes", (), "nudity", 0)
    assert concept_prompts(nudity, "a man")[0] == "nudity, nsfw, a man"
    truck = TASK.__class__("garbage truck", "object", "garbage truck", "a vehicle", (), "a garbage truck", 0)
    assert concept_prompts(truck, "a photo of a vehicle at night") == ["a photo of a garbage truck at night"]


def test_ablatings_rates_are_its_authors() -> None:
    """--scale_lr: the rate times 4 images and 2 GPUs, and times 2 with the prior (nudity)."""
    method: Method = METHODS.load("ablating")
    for kind, rate in (("nudity", 4e-6 * 4 * 2 * 2), ("style", 2e-6 * 4 * 2), ("object", 2e-6 * 4 * 2)):
        config = method.configure("sd", kind, {})
        assert config.lr == pytest.approx(rate)
        assert config.rescale is (kind == "object")


def test_rescaled_images_and_the_cells_that_they_fill() -> None:
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    small, mask = rescaled(image, 32, 10, 20, 4)
    assert (small[:10] == 128).all()
    assert (small[10:42, 20:52] != 128).mean() > 0.9
    inside = np.argwhere(mask)
    assert (inside.min(0) * 4 >= (10, 20)).all()  # no cell of the mask touches the grey
    assert ((inside.max(0) + 1) * 4 <= (42, 52)).all()
    whole, full = rescaled(image, 64, 0, 0, 4)
    assert (whole == image).all()
    assert full.shape == (16, 16)
    large, every = rescaled(image, 80, 16, 16, 4)
    assert large.shape == image.shape
    assert every.all()


@pytest.mark.parametrize("recipe", ["slides", "official"])
def test_adversarial_preservation_climbs_on_the_harm_and_descends_on_both(recipe: str) -> None:
    """With the continuous search: c_a starts at the concept and takes two normalised steps between updates.

    The slides search before the update, the official recipe after it, so not before the first.
    """
    caught = Caught(
        "adversarial-preservation-pgd", recipe=recipe, neutral="guide", preservation=0.3, search_lr=0.1, ascents=2
    )
    # Harm = mean of ((w − w*) c̄ z)²; its gradient points along +c̄, equal in all three positions.
    goal = TEACHER * G if recipe == "slides" else TEACHER * G - (TEACHER * C - TEACHER * G)
    alpha = float(caught.model.scheduler.alphas_cumprod[caught.model.timesteps(50)[0]])
    weight = 1.0 if recipe == "slides" else (1 - alpha) / alpha
    searches = 1 if recipe == "slides" else 0
    for step in range(2):
        before = caught.model.forwards.with_gradient
        value, gradient = caught.evaluate(step)
        found = C * 1.1 ** (2 * searches)
        assert float(caught.trainer._kept["embedding"].detach().mean()) == pytest.approx(found, rel=1e-5)
        erased, kept = (STUDENT * C - goal) * Z, (STUDENT - TEACHER) * found * Z
        assert value == pytest.approx(weight * (squares(erased) + 0.3 * squares(kept)), rel=1e-4)
        expected = weight * (derivative(erased, C * Z) + 0.3 * derivative(kept, found * Z))
        assert gradient == pytest.approx(expected, rel=1e-4)
        # Forwards with gradient for the ascents, the concept and the preserved concept.
        assert caught.model.forwards.with_gradient - before == (2 if step == 0 and recipe == "official" else 4)
        searches += 1


@pytest.mark.parametrize(("recipe", "noises"), [("slides", 2), ("official", 1)])
def test_the_official_recipe_draws_both_latents_from_one_code(
    recipe: str, noises: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("erasebench.methods.adversarial_preservation.word_bank", lambda *given: ["other", "guide"])
    caught = Caught("adversarial-preservation", recipe=recipe)
    drawn: list[torch.Tensor] = []

    def noise(batch: int, generator: torch.Generator | None = None) -> torch.Tensor:
        drawn.append(caught.z * (1 + len(drawn)))
        return drawn[-1]

    caught.trainer.noise = noise  # type: ignore[method-assign]
    caught.evaluate(0)
    assert len(drawn) == noises + (recipe == "slides")  # and one for the search
    facts = [fact["role"] for fact in caught.trainer.history]
    assert facts == (["ascent", "update"] if recipe == "slides" else ["update"])


def test_the_gumbel_sample_is_one_hot_with_the_softmaxs_gradient() -> None:
    logits = torch.tensor([0.5, -1.0, 2.0], requires_grad=True)
    sample = gumbel_softmax(logits, 2.0, torch.Generator().manual_seed(3))
    assert sorted(sample.detach().tolist()) == pytest.approx([0, 0, 1], abs=1e-6)
    gumbel = -torch.empty(3).exponential_(generator=torch.Generator().manual_seed(3)).log()
    soft = ((logits + gumbel) / 2.0).softmax(0)
    values = torch.tensor([1.0, 5.0, -2.0])
    (mine,), (theirs,) = torch.autograd.grad(sample @ values, logits), torch.autograd.grad(soft @ values, logits)
    assert torch.allclose(mine, theirs)
    counts = torch.zeros(3)
    generator = torch.Generator().manual_seed(0)
    for _ in range(4000):
        counts += gumbel_softmax(logits, 2.0, generator).detach()
    assert torch.allclose(counts / 4000, logits.softmax(0), atol=0.03)  # the Gumbel-max trick


def test_the_attention_norm_is_frobenius_over_all_layers() -> None:
    first, second = torch.rand(2, 3, 4, 2), torch.rand(2, 3, 16, 2)
    squares_of = [layer.square().sum((1, 2, 3)) for layer in (first, second)]
    by_hand = [torch.cat([first[k].flatten(), second[k].flatten()]).norm() for k in range(2)]
    assert float(attention_norm(squares_of)) == pytest.approx(float(sum(by_hand) / 2))


def test_race_trains_as_esd_and_then_at_the_attacked_embedding() -> None:
    caught = Caught("race", plain_steps=3, ascents=2, eta=1.5)
    plain = Caught("esd", eta=1.5).evaluate()
    for step, ascents in ((2, 0), (3, 2)):  # the toy's embedding has equal entries: nothing lies within its bounds
        before = caught.model.forwards.with_gradient
        assert caught.evaluate(step) == pytest.approx(plain)
        assert caught.model.forwards.with_gradient - before == 1 + ascents


def test_races_attack_predicts_the_noise_within_its_box() -> None:
    caught = Caught("race", radius=0.2, step_size=1.0, ascents=2)
    asked, z = torch.tensor([[[1.0], [2.0], [3.0]]]), caught.z
    for sign, wanted in ((9.0, [1.2, 2.2, 3.0]), (-9.0, [1.0, 1.8, 2.8])):  # entries keep to [1, 3]
        found = attacked(caught.model, z, 981, sign * z, asked, caught.config, caught.trainer)
        assert found.flatten().tolist() == pytest.approx(wanted)
        assert not found.requires_grad


@pytest.mark.parametrize("inversion", [0.5, 20.0])
def test_defended_is_the_slides_equation_11_with_a_hinge(inversion: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """p moves by one step of Adam along the gradient of L1 − λ L2, which for a large λ turns around."""
    monkeypatch.setattr("erasebench.methods.defended.other_words", lambda task, count: ["other"] * count)
    monkeypatch.setattr(Trainer, "drawn_images", lambda trainer, prompts, *sampler: Z.view(1, 1, 2, 2))
    rate, kept = 0.1, 0.3
    settings = {"words": 1, "ascents": 1, "ascent_lr": rate, "inversion": inversion, "preservation": kept}
    caught = Caught("defended", neutral="guide", **settings)
    caught.trainer.integers = lambda high, batch: torch.zeros(batch, dtype=torch.long)  # type: ignore[method-assign]
    alpha = caught.model.scheduler.alphas_cumprod[0]
    z = (alpha.sqrt() + (1 - alpha).sqrt()) * Z
    wanted = TEACHER * G * z
    slope = derivative(STUDENT * C * z - wanted, STUDENT * z) - inversion * derivative(STUDENT * C * z - Z, STUDENT * z)
    p = C + C * rate * (1 if slope > 0 else -1)
    on_p, on_concept, on_word = STUDENT * p * z - wanted, STUDENT * C * z - wanted, (STUDENT - TEACHER) * P * z
    open_by = squares(wanted - Z) - squares(STUDENT * p * z - Z)
    value, gradient = caught.evaluate()
    hinge = inversion * max(0.0, open_by)
    assert value == pytest.approx(squares(on_p) + squares(on_concept) + hinge + kept * squares(on_word), rel=1e-4)
    expected = derivative(on_p, p * z) + derivative(on_concept, C * z) + kept * derivative(on_word, P * z)
    if open_by > 0:
        expected -= inversion * derivative(STUDENT * p * z - Z, p * z)
    assert gradient == pytest.approx(expected, rel=1e-4)
    assert caught.trainer.history[-1]["hinged"] == pytest.approx(max(0.0, open_by), rel=1e-4)
