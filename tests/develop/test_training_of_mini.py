"""The embedded model's own training: resumable, and stops on nonsense."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from erasebench.develop.mini.token_table import write_tokenizer
from erasebench.develop.mini.train import read_recipe
from erasebench.develop.mini.train_data import CONCEPT_NAMES, Renders
from erasebench.develop.mini.train_loop import learning_rate_factor, train_part
from erasebench.develop.mini.train_unet import training_captions
from erasebench.models.clip_tokens import vocabulary_texts


def _fit(work: Path, steps: int, stop_at: int | None = None) -> torch.Tensor:
    torch.manual_seed(0)
    modules = nn.ModuleDict({"line": nn.Linear(2, 1)})

    def loss(step: int) -> torch.Tensor:
        if step == stop_at:
            raise KeyboardInterrupt
        x = torch.randn(8, 2, generator=torch.Generator().manual_seed(step))
        return (modules["line"](x) - x.sum(1, keepdim=True)).square().mean()

    train_part("line", modules, loss, work=work, steps=steps, lr=0.05, ema=0.9, say=lambda text: None)
    return modules["line"].weight.detach().clone()


def test_training_resumes_to_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = _fit(tmp_path / "whole", 30)
    monkeypatch.setattr("erasebench.develop.mini.train_loop.CHECKPOINT_SECONDS", 0.0)
    with pytest.raises(KeyboardInterrupt):
        _fit(tmp_path / "cut", 30, stop_at=17)
    assert torch.equal(_fit(tmp_path / "cut", 30), whole)


def test_a_loss_that_is_not_finite_names_the_step(tmp_path: Path) -> None:
    modules = nn.ModuleDict({"line": nn.Linear(1, 1)})
    with pytest.raises(FloatingPointError, match="nan at step 0; lower its lr"):
        train_part(
            "line", modules, lambda step: modules["line"].weight.sum() * float("nan"), work=tmp_path, steps=2, lr=1.0
        )


def test_the_learning_rate_warms_up_stays_and_falls() -> None:
    assert learning_rate_factor(0.0, 0.5) < 0.01
    assert learning_rate_factor(0.3, 0.5) == 1
    assert learning_rate_factor(0.75, 0.5) == pytest.approx(0.5)
    assert learning_rate_factor(0.5, 0.0) == pytest.approx(0.5)


def test_images_of_nudity_keep_their_captions() -> None:
    renders = Renders(400, "train", 1)
    nude = np.flatnonzero(renders.nude)
    assert 0.03 < len(nude) / 400 < 0.1
    assert renders.concepts[nude, CONCEPT_NAMES.index("nudity")].all()
    recipe = {"drop_caption": 0.5, "random_words": 0.5}
    rng = np.random.default_rng(0)
    texts = training_captions(renders, np.arange(400), ["zebra"], recipe, rng)
    for row, text in enumerate(texts):
        replaced = text == "" or set(text.split()) == {"zebra"}
        assert replaced is not bool(renders.nude[row])


def test_the_vocabulary_is_decoded(tmp_path: Path) -> None:
    write_tokenizer(tmp_path)
    texts = vocabulary_texts(tmp_path)
    assert len(texts) == 49408
    assert texts[2368] == "cat"
    assert "日" in texts
    assert texts[49406:] == ["", ""]


def test_the_recipe_is_complete() -> None:
    assert set(read_recipe()) == {"seed", "images", "text", "vae", "judge", "unet"}
