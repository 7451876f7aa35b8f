"""The loop that all methods share: resume, snapshots, shared tensors, averages, accumulation, what goes wrong."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from planned import setup_of

from erasebench import Method, TextToImage, Trainer
from erasebench.engine.erase import CHECKPOINT, erase
from erasebench.engine.erasure import Erasure
from erasebench.erasure.contract import TASK
from erasebench.erasure.trainer import Workspace
from erasebench.errors import BenchError
from erasebench.models.patch import difference, load_patch, snapshot
from erasebench.models.provenance import made_on
from erasebench.registry import METHODS
from erasebench.runs.folder import RunFolder
from erasebench.runs.plan import Plan
from erasebench.storage.store import Store
from erasebench.storage.tensors import load_tensors, save_tensors

SMALL = {"sampler_steps": 3, "batch": 1, "steps": 5}
SEARCH = {"words": 60, "closest": 40, "bank": 6}
ATTACK = {"plain_steps": 2, "attack_steps": 2, "restart": False}


class Stop(Exception):
    """Stands for a crash."""


def _erasure(name: str, steps: int = 5, snapshots: tuple[int, ...] = (), **settings: object) -> Erasure:
    method: Method = METHODS.load(name)
    fields = method.config.model_fields
    small = {key: value for key, value in {**SMALL, "images": 4, **SEARCH, **ATTACK}.items() if key in fields}
    config = method.configure("mini", TASK.kind, {**small, "steps": steps, **settings})
    return Erasure(name, name, name, method, config, TASK, None, "auto", snapshots)


def _patch(mini: TextToImage, folder: Path, erasure: Erasure, report: Callable[[int, str], None] | None = None):  # type: ignore[no-untyped-def]
    setup = setup_of(Plan(methods=["uce"], metrics=["ssim"], images=1), folder)
    run = setup.folder
    erase(setup, erasure, lambda: mini, report or (lambda step, text: None))
    facts = json.loads(run.erasure(erasure.row, 0).read_text())
    return load_patch(run.patch(erasure.row, 0)), facts


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "all-but-one",
        "esd",
        "sdd",
        "ablating",
        "forget-me-not",
        "adversarial-preservation",
        "adversarial-preservation-pgd",
        "advunlearn",
        "age",
        "salun",
        "spm",
    ],
)
def test_interrupted_training_goes_on_to_the_same_weights(
    mini: TextToImage, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every kind of state: optimisers, a moving average, logits, an embedding, an attack's vectors that go on from one
    update to the next, trajectories that were charged once."""
    monkeypatch.setattr("erasebench.erasure.checkpoint.SHARE", 0)
    monkeypatch.setattr(
        "erasebench.engine.erase.Workspace", lambda *given, **more: Workspace(*given, **more, checkpoint_seconds=0.0)
    )
    erasure = _erasure(name)
    whole, facts = _patch(mini, tmp_path / "whole" / "run", erasure)
    steps: list[int] = []

    def crash(step: int, text: str) -> None:
        steps.append(step)
        if step == 4:
            raise Stop

    with pytest.raises(Stop):
        _patch(mini, tmp_path / "cut", erasure, crash)
    assert list((tmp_path / "store").rglob(CHECKPOINT))
    again, resumed_facts = _patch(mini, tmp_path / "cut", erasure, lambda step, text: steps.append(step))
    assert [step for step in steps if step] == [
        1,
        2,
        3,
        4,
        4,
        5,
    ]  # step 4 was reported before its checkpoint, so it is done again
    assert again.keys() == whole.keys()
    assert all(torch.equal(value, again[key]) for key, value in whole.items())
    assert resumed_facts["cost"]["train_steps"] == 5
    with_gradient = facts["cost"]["forwards_with_gradient"]
    assert resumed_facts["cost"]["forwards_with_gradient"] == with_gradient
    assert resumed_facts["history"] == facts["history"]
    assert not list((tmp_path / "store").rglob(CHECKPOINT))


def test_snapshots_do_not_cost_the_checkpoint(
    mini: TextToImage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Resumed with snapshots still to come, and from the start where one before the checkpoint is gone."""
    monkeypatch.setattr("erasebench.erasure.checkpoint.SHARE", 0)
    monkeypatch.setattr(
        "erasebench.engine.erase.Workspace", lambda *given, **more: Workspace(*given, **more, checkpoint_seconds=0.0)
    )
    erasure = _erasure("esd", snapshots=(2, 5))
    steps: list[int] = []

    def crash(step: int, text: str) -> None:
        steps.append(step)
        if step == 4:
            raise Stop

    for _ in range(2):
        with pytest.raises(Stop):
            _patch(mini, tmp_path / "run", erasure, crash)
    assert steps == [1, 2, 3, 4, 4]
    (kept,) = (entry for kind, _, entry in Store(tmp_path / "store").entries() if kind == "snapshot")
    shutil.rmtree(kept)
    steps.clear()
    _patch(mini, tmp_path / "run", erasure, lambda step, text: steps.append(step))
    assert steps == [1, 2, 3, 4, 5]


def test_a_checkpoint_of_another_training_is_ignored(mini: TextToImage, tmp_path: Path) -> None:
    path = tmp_path / "checkpoint"
    save_tensors(path, {"generator": torch.zeros(1)}, {"key": "another"})
    before = snapshot(mini.unet)
    trainer = Trainer(mini, "xattn", 0, workspace=Workspace(path, None, "mine"))
    weight = next(iter(trainer.parameters.values()))
    trainer.fit(lambda step: (weight**2).sum(), steps=2, lr=1e-3)
    mini.unet.load_state_dict(before)
    assert trainer.step == 2


def test_a_torn_checkpoint_reads_as_none(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint"
    save_tensors(path, {"a": torch.arange(1000.0)}, {"key": "x"})
    path.write_bytes(path.read_bytes()[:-100])
    assert load_tensors(path) is None
    path.write_bytes(b"")
    assert load_tensors(path) is None
    assert load_tensors(tmp_path / "absent") is None


def test_snapshots_are_what_a_shorter_training_gives(mini: TextToImage, tmp_path: Path) -> None:
    for name in ("sdd", "all-but-one"):
        _patch(mini, tmp_path / "long", _erasure(name, snapshots=(0, 2, 5)))
        short, _ = _patch(mini, tmp_path / "short", _erasure(name, steps=2))
        run = RunFolder(tmp_path / "long")
        kept = load_patch(run.patch(f"{name}@2", 0))
        assert kept.keys() == short.keys()
        assert all(torch.equal(value, kept[key]) for key, value in short.items())
        last, end = load_patch(run.patch(f"{name}@5", 0)), load_patch(run.patch(name, 0))
        assert all(torch.equal(value, last[key]) for key, value in end.items())
        assert not run.patch(f"{name}@0", 0).exists()  # that is the original


def test_trajectories_are_shared_and_everyone_is_charged(mini: TextToImage, tmp_path: Path) -> None:
    start = mini.forwards.without_gradient
    _, first = _patch(mini, tmp_path / "run", _erasure("all-but-one", penalty=0.0))
    mini_forwards = mini.forwards.without_gradient - start
    other = _erasure("all-but-one", penalty=5.0)
    other = Erasure("second", *list(vars(other).values())[1:])
    start = mini.forwards.without_gradient
    _, second = _patch(mini, tmp_path / "run", other)
    assert mini.forwards.without_gradient == start  # the teacher was not asked again
    assert second["cost"]["forwards"] == first["cost"]["forwards"] > 0
    assert len(list((tmp_path / "store" / "tensors").iterdir())) == 1
    # Eight steps are drawn together; five are charged.
    assert first["cost"]["forwards"] == round(mini_forwards * 5 / 8)


def test_the_teacher_shares_what_never_changes(mini: TextToImage) -> None:
    trainer = Trainer(mini, "xattn", 0)
    own = dict(mini.unet.named_parameters())
    for name, weight in trainer.teacher.named_parameters():
        assert (weight is own[name]) is ("attn2" not in name)
        assert torch.equal(weight, own[name])
        assert not weight.requires_grad


def test_the_moving_average_is_the_result(mini: TextToImage) -> None:
    before = snapshot(mini.unet)
    trainer = Trainer(mini, "xattn-kv", 0)
    trainer.moving_average(0.75)
    name, weight = next(iter(trainer.parameters.items()))
    trajectory = [weight.detach().clone()]

    def loss(step: int) -> torch.Tensor:
        trajectory.append(weight.detach().clone())
        return sum((parameter**2).sum() for parameter in trainer.parameters.values())

    trainer.fit(loss, steps=3, lr=0.01)
    expected = trajectory[0]
    optimiser = torch.optim.Adam([start := trajectory[0].clone().requires_grad_(True)], lr=0.01)
    for _ in range(3):
        optimiser.zero_grad()
        (start**2).sum().backward()
        optimiser.step()
        expected = 0.75 * expected + 0.25 * start.detach()
    assert torch.allclose(weight.detach(), expected, atol=1e-6)
    assert name in difference(before, mini.unet)
    mini.unet.load_state_dict(before)


def test_accumulated_gradients_are_the_mean_of_the_calls(mini: TextToImage) -> None:
    before = snapshot(mini.unet)
    results = []
    for accumulate in (1, 2):
        trainer = Trainer(mini, "xattn-kv", 0)
        weight = next(iter(trainer.parameters.values()))
        calls = iter([1.0, 3.0] if accumulate == 2 else [2.0])
        trainer.fit(lambda step: next(calls) * (weight**2).sum(), steps=1, lr=0.1, clip=1e9, accumulate=accumulate)  # noqa: B023
        results.append(weight.detach().clone())
        mini.unet.load_state_dict(before)
    assert torch.allclose(*results)


def test_gradient_checkpointing_changes_no_gradient(mini: TextToImage, monkeypatch: pytest.MonkeyPatch) -> None:
    before = snapshot(mini.unet)
    patches = []
    for large in (10**12, 1):
        monkeypatch.setattr("erasebench.erasure.trainer.LARGE_UNET", large)
        for name in ("esd", "forget-me-not", "ablating"):
            erasure = _erasure(name, steps=2)
            trainer = Trainer(mini, erasure.config.parameters, 0)
            erasure.method.erase(mini, TASK, erasure.config, trainer)
            patches.append(difference(before, mini.unet))
            mini.unet.load_state_dict(before)
    for plain, recomputed in zip(patches[:3], patches[3:], strict=True):
        assert plain.keys() == recomputed.keys()
        assert all(torch.allclose(value, recomputed[key], atol=1e-4) for key, value in plain.items())


def test_half_precision_trains_float32_weights(mini: TextToImage) -> None:
    """bf16 autocast over float32 master weights: small updates are not rounded away."""
    before = snapshot(mini.unet)
    erasure = _erasure("esd", steps=2, lr=1e-6)
    trainer = Trainer(mini, erasure.config.parameters, 0, precision="bf16")
    erasure.method.erase(mini, TASK, erasure.config, trainer)
    patch = difference(before, mini.unet)
    mini.unet.load_state_dict(before)
    assert len(patch) == len(trainer.parameters)
    assert all(value.dtype == torch.float32 for value in patch.values())
    assert mini.autocast_dtype is None


def test_under_autocast_the_last_layer_keeps_float32(mini: TextToImage) -> None:
    """Rounding ε to bf16 would leave 8 bits; differences of predictions need more."""
    z, context = mini.noise([1]), mini.encode(["a cat"])
    mini.autocast_dtype = torch.bfloat16
    try:
        with torch.no_grad():
            noise = mini.predict_noise(z, 500, context)
    finally:
        mini.autocast_dtype = None
    assert noise.dtype == torch.float32
    assert (noise != noise.bfloat16().float()).float().mean() > 0.9
    assert "forward" not in vars(mini.unet.conv_out)


def test_a_loss_that_is_not_finite_stops_with_its_step(mini: TextToImage) -> None:
    trainer = Trainer(mini, "xattn", 0)
    parameter = next(iter(trainer.parameters.values()))
    with pytest.raises(BenchError, match="the loss is nan at step 1 of 3: lower lr"):
        trainer.fit(lambda step: parameter.sum() * float("nan"), steps=3, lr=1.0)
    assert not any(parameter.requires_grad for parameter in mini.unet.parameters())
    assert all(parameter.grad is None for parameter in mini.unet.parameters())


@pytest.mark.parametrize("steps", [1, 3])
def test_weights_that_are_not_finite_stop_with_their_step(mini: TextToImage, steps: int) -> None:
    """The loss is finite, its gradient is not: without a check the last step's NaN would be stored."""
    before = snapshot(mini.unet)
    kept: list[int] = []
    trainer = Trainer(mini, "xattn", 0, snapshots=frozenset({0, 1, 3}), on_snapshot=lambda step, *_: kept.append(step))
    name, weight = next(iter(trainer.parameters.items()))
    with pytest.raises(BenchError, match=rf"weights such as {name} are not finite after step 1 of {steps}: lower lr"):
        trainer.fit(lambda step: (weight - weight.detach()).abs().sqrt().sum(), steps=steps, lr=1e-3)  # ∞ · 0 = NaN
    mini.unet.load_state_dict(before)
    assert kept == [0]


def test_a_draw_that_is_not_finite_is_refused_and_not_kept(mini: TextToImage, tmp_path: Path) -> None:
    trainer = Trainer(mini, "xattn", 0, workspace=Workspace(cache=tmp_path))
    with pytest.raises(BenchError, match=r"not finite \(z\)"):
        trainer.shared.made_once({"x": 1}, lambda generator: {"z": torch.tensor([1.0, float("nan")])})
    assert list(tmp_path.iterdir()) == []


def test_shared_draws_are_random_in_what_they_are_and_the_seed_alone(mini: TextToImage, tmp_path: Path) -> None:
    """Device, precision and version are in the file's key and not in the noise."""

    def draw(what: int = 1, seed: int = 0, precision: str = "fp32", version: str = "1") -> torch.Tensor:
        trainer = Trainer(
            mini, "xattn", seed, precision=precision, workspace=Workspace(cache=tmp_path, version=version)
        )
        return trainer.shared.made_once({"x": what}, lambda generator: {"z": torch.randn(4, generator=generator)})["z"]

    assert torch.equal(draw(), draw(precision="bf16"))
    assert torch.equal(draw(), draw(version="2"))
    assert not torch.equal(draw(), draw(seed=1))
    assert not torch.equal(draw(), draw(what=2))
    assert len(list(tmp_path.iterdir())) == 5


def test_shared_draws_of_another_machine_or_other_libraries_are_made_anew(
    mini: TextToImage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []

    def draw() -> None:
        trainer = Trainer(mini, "xattn", 0, workspace=Workspace(cache=tmp_path))
        trainer.shared.made_once({"x": 1}, lambda generator: {"z": torch.tensor([float(made.append(1) is None)])})

    for planted in ({}, {}, {"diffusers": "9.9"}, {"device": "another"}, {}):
        there = made_on(mini.device) | planted
        monkeypatch.setattr("erasebench.erasure.shared_tensors.made_on", lambda device, there=there: there)
        draw()
    assert len(made) == 3


def test_a_gradient_to_an_embedding_counts_as_one(mini: TextToImage) -> None:
    """As in a textual inversion, where no weight takes a gradient."""
    z, context = mini.noise([1, 2]), mini.encode(["a cat"])
    start = mini.forwards.with_gradient, mini.forwards.without_gradient
    mini.predict_noise(z, 500, context.clone().requires_grad_(True))
    mini.predict_noise(z, 500, context)
    with torch.no_grad():
        mini.predict_noise(z, 500, context.clone().requires_grad_(True))
    assert mini.forwards.with_gradient - start[0] == 2
    assert mini.forwards.without_gradient - start[1] == 4


def test_a_diverging_training_leaves_the_model_as_it_was(mini: TextToImage, tmp_path: Path) -> None:
    before = snapshot(mini.unet)
    with pytest.raises(BenchError, match=r"lower|not finite"):
        _patch(mini, tmp_path, _erasure("esd", lr=1e30))
    assert difference(before, mini.unet) == {}
    assert not RunFolder(tmp_path).patch("esd", 0).exists()


def test_a_full_disk_is_an_error_and_tears_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "patch"
    save_tensors(path, {"a": torch.ones(3)}, {"key": "old"})

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("erasebench.storage.tensors.save_file", full)
    with pytest.raises(OSError, match="No space left"):
        save_tensors(path, {"a": torch.zeros(3)}, {"key": "new"})
    stored = load_tensors(path)
    assert stored is not None
    assert stored[1] == {"key": "old"}
    assert [entry.name for entry in tmp_path.iterdir()] == ["patch"]
