"""Trainings of the text encoder: what trains, what stays the original's, and what follows the row."""

from pathlib import Path

import pytest
import torch
from planned import setup_of
from tiny import tiny_xl
from torch.nn.functional import mse_loss

from erasebench import ErasureTask, Method, MethodConfig, TextToImage, Trainer
from erasebench.engine.erase import CHECKPOINT, erase
from erasebench.engine.erasure import Erasure
from erasebench.erasure.contract import TASK, Subject, run_checks
from erasebench.erasure.trainer import Workspace
from erasebench.errors import BenchError
from erasebench.models.parameter_groups import select, trained_of
from erasebench.models.patch import changes_text, difference, load_patch, part_of, restored
from erasebench.registry import METHODS
from erasebench.runs.plan import Plan

GROUP = "text-encoder"


class Config(MethodConfig):
    """A training of the text encoder."""

    parameters: str = GROUP
    steps: int = 4
    lr: float = 1e-3


def muted(model: TextToImage, task: ErasureTask, config: Config, trainer: Trainer) -> None:
    """Let the concept's prompt mean nothing; no equation."""

    def loss(step: int) -> torch.Tensor:
        z, t = trainer.noise(1), 500
        with torch.no_grad():
            wanted = model.predict_noise(z, t, trainer.text(""))
        return mse_loss(model.predict_noise(z, t, trainer.student_text(task.prompt)), wanted)

    trainer.fit(loss, steps=config.steps, lr=config.lr)


MUTED = Method("Muted", "a paper", Config, muted, parts=("text_encoder",))


def test_texts_of_the_original_outlast_the_training(mini: TextToImage) -> None:
    with restored(mini) as before:
        trainer = Trainer(mini, GROUP, 0)
        first = trainer.text("garbage truck").clone()
        later = mini.encode(["a bus"])
        muted(mini, TASK, Config(), trainer)
        assert torch.equal(trainer.text("garbage truck"), first)
        assert torch.equal(trainer.text("a bus"), later)  # encoded after the text encoder had changed
        assert not torch.equal(mini.encode(["a bus"]), later)
        assert torch.equal(trainer.student_text("a bus").detach(), mini.encode(["a bus"]))
        patch = difference(before, mini)
        assert not any(weight.requires_grad or weight.grad is not None for weight in trainer.parameters.values())
    assert patch.keys() == trainer.parameters.keys()
    assert {part_of(name) for name in patch} == {"text_encoder"}
    assert not any("embedding" in name for name in patch)
    assert changes_text(patch)
    assert difference(before, mini) == {}


def test_a_prefix_reads_as_the_tokens_that_have_its_vectors(mini: TextToImage) -> None:
    trainer = Trainer(mini, GROUP, 0)
    table = mini.text_encoder.get_input_embeddings().weight
    ids = mini.tokenizer("old red").input_ids[1:-1]
    prefix = table[ids].detach().clone().requires_grad_(True)
    found = trainer.student_text("garbage truck", "a bus", prefix=prefix)
    assert torch.equal(found.detach(), mini.encode(["old red garbage truck", "old red a bus"]))
    (gradient,) = torch.autograd.grad(found.square().sum(), prefix)
    assert gradient.abs().amin(1).gt(0).all()
    assert torch.equal(trainer.student_text("a bus"), mini.encode(["a bus"]))  # nothing stays behind


def test_the_group_is_the_transformer(mini: TextToImage) -> None:
    """AdvUnlearn's authors train all layers and the last normalisation, and no embedding."""
    own = dict(mini.text_encoder.named_parameters())
    trained = trained_of(mini, GROUP)
    left = [name for name in own if f"text_encoder.{name}" not in trained]
    assert len(left) == 2
    assert all("embedding" in name for name in left)
    assert all(weight is own[name.removeprefix("text_encoder.")] for name, weight in trained.items())


def _patch(mini: TextToImage, folder: Path, snapshots: tuple[int, ...] = (), stop: int = 0, steps: int = 4):  # type: ignore[no-untyped-def]
    erasure = Erasure("muted", "Muted", "muted", MUTED, Config(steps=steps), TASK, None, "auto", snapshots)
    setup = setup_of(Plan(methods=["uce"], metrics=["ssim"], images=1), folder)
    reported = []

    def report(step: int, text: str) -> None:
        reported.append(step)
        if step == stop:
            raise InterruptedError

    try:
        erase(setup, erasure, lambda: mini, report)
    finally:
        assert difference(_first(mini), mini) == {}
    return load_patch(setup.folder.patch("muted", 0)), setup, reported


_FIRST: dict[str, torch.Tensor] = {}


def _first(mini: TextToImage) -> dict[str, torch.Tensor]:
    if not _FIRST:
        with restored(mini) as before:
            _FIRST.update(before)
    return _FIRST


def test_interrupted_it_goes_on_to_the_same_weights(
    mini: TextToImage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Texts that are encoded first after the resumption are the original's all the same."""
    monkeypatch.setattr("erasebench.erasure.checkpoint.SHARE", 0)
    monkeypatch.setattr(
        "erasebench.engine.erase.Workspace", lambda *given, **more: Workspace(*given, **more, checkpoint_seconds=0.0)
    )
    _first(mini)
    whole, _, _ = _patch(mini, tmp_path / "whole" / "run")
    with pytest.raises(InterruptedError):
        _patch(mini, tmp_path / "cut", stop=3)
    assert list((tmp_path / "store").rglob(CHECKPOINT))
    again, _, reported = _patch(mini, tmp_path / "cut")
    assert reported == [3, 4]  # step 3 was reported before its checkpoint
    assert again.keys() == whole.keys()
    assert all(torch.equal(value, again[name]) for name, value in whole.items())


def test_snapshots_hold_the_text_encoder(mini: TextToImage, tmp_path: Path) -> None:
    _first(mini)
    _, setup, _ = _patch(mini, tmp_path / "long" / "run", snapshots=(2,))
    short, _, _ = _patch(mini, tmp_path / "short" / "run", steps=2)
    kept = load_patch(setup.folder.patch("muted@2", 0))
    assert kept.keys() == short.keys()
    assert all(torch.equal(value, kept[name]) for name, value in short.items())


def test_recomputed_activations_change_no_gradient(mini: TextToImage, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a UNet above LARGE_UNET, none of whose weights takes a gradient: it only passes one on."""
    patches = []
    for large in (10**12, 1):
        monkeypatch.setattr("erasebench.erasure.trainer.LARGE_UNET", large)
        with restored(mini) as before:
            muted(mini, TASK, Config(steps=1), Trainer(mini, GROUP, 0))
            patches.append(difference(before, mini))
    plain, recomputed = patches
    assert plain.keys() == recomputed.keys()
    assert all(torch.allclose(value, recomputed[name], atol=1e-4) for name, value in plain.items())


def test_it_keeps_the_contract_and_says_what_it_changes(mini: TextToImage) -> None:
    found = {finding.check: finding for finding in run_checks(Subject(MUTED, mini))}
    assert [one.text for one in found.values() if one.outcome == "BROKEN"] == []

    def sly(model: TextToImage, task: ErasureTask, config: Config, trainer: Trainer) -> None:
        weight = model.text_encoder.get_input_embeddings().weight
        weight.data[0].add_(1)
        muted(model, task, config, trainer)

    found = {one.check: one for one in run_checks(Subject(Method("Sly", "", Config, sly, parts=MUTED.parts), mini))}
    told = found["Only declared weights change, and they do change."].text
    assert "1 weights that it did not declare, such as text_encoder." in told
    assert difference(_first(mini), mini) == {}


def test_weights_of_another_part_than_the_methods_are_refused() -> None:
    sdd: Method = METHODS.load("sdd")
    plain = Method("Any", "", MethodConfig, sdd.erase)
    with pytest.raises(BenchError, match=r"'text-encoder' are of text_encoder, and it trains unet"):
        plain.configure("sd", "object", {"parameters": GROUP})
    with pytest.raises(BenchError, match=r"'xattn' are of unet, and it trains text_encoder"):
        MUTED.configure("sd", "object", {"parameters": "xattn"})
    with pytest.raises(BenchError, match="'text-encodr'"):
        plain.configure("sd", "object", {"parameters": "text-encodr"})


def test_a_model_with_two_text_encoders_is_refused() -> None:
    model = TextToImage(tiny_xl(), "two", "sd", "revision", "cpu")
    with pytest.raises(BenchError, match=r"two has two, .* leave it out of --methods"):
        Trainer(model, GROUP, 0)
    assert select(model.unet, "xattn")
    Trainer(model, "xattn", 0)


def test_an_average_is_of_the_unet(mini: TextToImage) -> None:
    with pytest.raises(RuntimeError, match="text encoder trains"):
        Trainer(mini, GROUP, 0).moving_average(0.9)
