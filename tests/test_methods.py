"""The contract of every registered method, and what each one is known to satisfy."""

from collections.abc import Iterator

import pytest
import torch

from erasebench import ErasureTask, Method, TextToImage, Trainer
from erasebench.errors import BenchError
from erasebench.parameters import GROUPS, select
from erasebench.patch import attached, check, difference, load_patch, save_patch, snapshot
from erasebench.registry import METHODS
from erasebench.training import measured

TASK = ErasureTask("nudity", "nudity", "a person wearing clothes", 0)


def erase(model: TextToImage, method: Method, seed: int = 0, steps: int = 2) -> tuple[dict[str, torch.Tensor], Trainer]:
    """A short erasure's patch; the model is as before afterwards."""
    before = snapshot(model.unet)
    config = method.configure("mini", {})
    trainer = Trainer(model, config.parameters, seed, steps)
    try:
        method.erase(model, TASK, config, trainer)
        return difference(before, model.unet), trainer
    finally:
        model.unet.load_state_dict(before)


@pytest.fixture(scope="module", params=METHODS.names())
def method(request: pytest.FixtureRequest) -> Method:
    return METHODS.load(request.param)


@pytest.fixture(scope="module")
def erased(mini: TextToImage, method: Method) -> Iterator[tuple[dict[str, torch.Tensor], Trainer]]:
    return erase(mini, method)


def test_only_declared_weights_change_and_they_do(
    erased: tuple[dict[str, torch.Tensor], Trainer], method: Method
) -> None:
    patch, trainer = erased
    check(patch, set(trainer.parameters), method.label)


def test_same_seed_same_weights(
    mini: TextToImage, method: Method, erased: tuple[dict[str, torch.Tensor], Trainer]
) -> None:
    again, _ = erase(mini, method)
    assert again.keys() == erased[0].keys()
    assert all(torch.equal(again[name], value) for name, value in erased[0].items())


def test_saved_and_attached_it_draws_the_same(
    mini: TextToImage, erased: tuple[dict[str, torch.Tensor], Trainer], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("patch") / "patch.safetensors"
    save_patch(path, erased[0])
    context, z = mini.encode(["nudity"]), mini.noise([5])
    with torch.no_grad():
        original = mini.predict_noise(z, 500, context)
        with attached(mini.unet, erased[0]):
            direct = mini.predict_noise(z, 500, context)
        with attached(mini.unet, load_patch(path)):
            loaded = mini.predict_noise(z, 500, context)
        restored = mini.predict_noise(z, 500, context)
    assert torch.equal(direct, loaded)
    assert torch.equal(original, restored)
    assert not torch.equal(original, direct)


def test_cost_is_accounted(mini: TextToImage, method: Method) -> None:
    before = snapshot(mini.unet)
    config = method.configure("mini", {})
    trainer = Trainer(mini, config.parameters, 0, 2)
    with measured(mini) as cost:
        method.erase(mini, TASK, config, trainer)
    mini.unet.load_state_dict(before)
    closed_form = not hasattr(config, "steps")
    assert trainer.steps_done == (0 if closed_form else 2)
    assert (cost.unet_forwards > 0) is not closed_form
    assert cost.unet_forwards_with_gradient == (0 if closed_form else 2 * config.batch)
    assert cost.train_seconds > 0
    assert cost.peak_memory_mb > 10


def test_the_configuration_is_strict_and_frozen(method: Method) -> None:
    with pytest.raises(BenchError, match=r"'stepz' is wrong.*Allowed settings: parameters"):
        method.configure("mini", {"stepz": 3})
    with pytest.raises(BenchError, match="'parameters' is wrong"):
        method.configure("mini", {"parameters": 3})
    config = method.configure("sd", {})
    assert config.parameters in GROUPS
    with pytest.raises(ValueError, match="frozen"):
        config.parameters = "full"


def test_method_has_a_docstring_that_cites_an_equation(method: Method) -> None:
    assert "quation" in (method.erase.__doc__ or "")
    assert method.paper.startswith("arXiv ")


def _counted_step(mini: TextToImage, name: str, level: int) -> tuple[int, int]:
    """Forwards without and with gradient of one training step at a fixed level, in images for one sample."""
    method: Method = METHODS.load(name)
    before = snapshot(mini.unet)
    config = method.configure("mini", {"batch": 1, "sampler_steps": 50})
    trainer = Trainer(mini, config.parameters, 0, 1)
    trainer.random_level = lambda levels: level  # type: ignore[method-assign]
    start = (mini.forwards.without_gradient, mini.forwards.with_gradient)
    method.erase(mini, TASK, config, trainer)
    mini.unet.load_state_dict(before)
    return mini.forwards.without_gradient - start[0], mini.forwards.with_gradient - start[1]


def test_a_step_costs_what_the_papers_say(mini: TextToImage) -> None:
    # A level of 25 of 50 takes 25 guided sampler steps of 2 forwards.
    assert _counted_step(mini, "esd", 25) == (50 + 2, 1)
    assert _counted_step(mini, "sdd", 25) == (50 + 1, 1)


def test_uce_is_the_closed_form(mini: TextToImage) -> None:
    """Equation 7 in float64, straight from the embeddings; the edited keys come near the guide's."""
    method: Method = METHODS.load("uce")
    before = snapshot(mini.unet)
    config = method.configure("mini", {"regularisation": 0.1, "preserve": []})
    method.erase(mini, TASK, config, Trainer(mini, config.parameters, 0))
    patch = difference(before, mini.unet)
    mini.unet.load_state_dict(before)
    # "nudity" is two tokens and the guide four words: positions 2 and 4 hold their last tokens.
    concept, guide = mini.encode([TASK.prompt])[0, 2:].double(), mini.encode([TASK.guide])[0, 4:].double()
    concept, guide = concept[: len(guide)], guide[: len(concept)]
    name = next(name for name in patch if name.endswith("attn2.to_k.weight"))
    weight = before[name].double()
    left = 0.1 * weight + sum(torch.outer(weight @ g, c) for c, g in zip(concept, guide, strict=True))
    right = 0.1 * torch.eye(64).double() + sum(torch.outer(c, c) for c in concept)
    assert torch.allclose(patch[name].double(), left @ torch.linalg.inv(right), atol=1e-3)
    wanted = weight @ guide[-1]
    assert (patch[name].double() @ concept[-1] - wanted).norm() < 0.2 * (weight @ concept[-1] - wanted).norm()


def test_a_loss_that_is_not_finite_stops_with_its_step(mini: TextToImage) -> None:
    trainer = Trainer(mini, "xattn", 0)
    parameter = next(iter(trainer.parameters.values()))
    with pytest.raises(BenchError, match="the loss is nan at step 1 of 3: lower lr"):
        trainer.fit(lambda: parameter.sum() * float("nan"), steps=3, lr=1.0)
    assert not any(parameter.requires_grad for parameter in mini.unet.parameters())


def test_a_patch_outside_the_declared_weights_is_refused() -> None:
    with pytest.raises(BenchError, match="changed 1 weights that it did not declare, such as b"):
        check({"a": torch.ones(1), "b": torch.ones(1)}, {"a"}, "X")
    with pytest.raises(BenchError, match="changed no weight"):
        check({}, {"a"}, "X")
    with pytest.raises(BenchError, match="not finite in a"):
        check({"a": torch.tensor([float("inf")])}, {"a"}, "X")


def test_an_unknown_group_is_an_error(mini: TextToImage) -> None:
    with pytest.raises(BenchError, match="'xattn'"):
        select(mini.unet, "xatn")
