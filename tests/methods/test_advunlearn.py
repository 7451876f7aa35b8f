"""AdvUnlearn against its equations: what it compares with what, what the attack does, and what an update costs."""

from pathlib import Path
from typing import Any

import pytest
import torch
from planned import work_of
from tiny import tiny_xl
from torch.nn.functional import mse_loss

from erasebench import Method, TextToImage, Trainer
from erasebench.erasure.contract import TASK
from erasebench.errors import BenchError
from erasebench.models.catalog import find_model
from erasebench.models.patch import restored
from erasebench.registry import METHODS
from erasebench.runs.plan import Plan

SMALL = {"sampler_steps": 4, "batch": 2, "retained": 3, "words": 10, "plain_steps": 0, "attack_steps": 6}


class Updates:
    """A few updates on the embedded model, and what the original drew for each."""

    def __init__(self, mini: TextToImage, steps: int = 1, **settings: Any) -> None:
        method: Method = METHODS.load("advunlearn")
        self.config = method.configure("mini", "object", {**SMALL, "steps": steps, **settings})
        self.trainer = Trainer(mini, self.config.parameters, 0, block=1)
        self.batches: list[dict[str, torch.Tensor]] = []
        draw = self.trainer.shared.drawn_ahead

        def noted(what: Any, make: Any) -> Any:
            of_step = draw(what, make)

            def of_step_noted(step: int) -> dict[str, torch.Tensor]:
                self.batches.append(of_step(step))
                return self.batches[-1]

            return of_step_noted

        self.trainer.shared.drawn_ahead = noted  # type: ignore[method-assign]
        self.trainer.random_level = lambda levels: 2  # type: ignore[method-assign]
        with restored(mini):
            method.erase(mini, TASK, self.config, self.trainer)
        self.history, self.cost = self.trainer.history, self.trainer.cost()


def test_the_first_update_compares_the_original_with_its_target(mini: TextToImage) -> None:
    """The student is the original then: (1 + η)² ‖ε*(c) − ε*(∅)‖² to erase, and nothing to retain."""
    done = Updates(mini, plain_steps=1, eta=0.5)
    unconditional, conditional, _ = done.batches[0]["noise"].split([2, 2, 3])
    expected = 1.5**2 * float(mse_loss(conditional, unconditional))
    assert done.history[0]["erasing"] == pytest.approx(expected, rel=1e-4)
    assert done.history[0]["retaining"] == pytest.approx(0, abs=1e-10)
    assert "attacked" not in done.history[0]


def test_what_is_drawn_is_the_originals_also_later(mini: TextToImage) -> None:
    """Latents and predictions come from the original's embeddings: a text encoder that changed far does not matter."""
    slow, quick = (Updates(mini, steps=3, lr=lr) for lr in (1e-6, 1e-2))
    for mine, other in zip(slow.batches, quick.batches, strict=True):
        assert all(torch.equal(mine[name], other[name]) for name in mine)
    assert quick.history[2]["retaining"] > 10 * slow.history[2]["retaining"]


def test_the_attack_brings_the_concept_nearer(mini: TextToImage) -> None:
    found = Updates(mini, tokens=1, attack_steps=20).history[0]
    assert found["attacked"] < 0.9 * found["unattacked"]


def test_by_the_sign_alone_where_it_is_fast(mini: TextToImage) -> None:
    (prefix,) = Updates(mini, fast=True, tokens=2).trainer._kept.values()
    assert prefix.shape == (2, mini.text_encoder.config.hidden_size)
    assert set(prefix.grad.unique().tolist()) <= {-1.0, 0.0, 1.0}  # type: ignore[union-attr]
    (plain,) = Updates(mini).trainer._kept.values()
    assert len(plain.grad.unique()) > 3  # type: ignore[union-attr]


def test_an_attack_begins_anew_or_where_the_last_one_ended(mini: TextToImage) -> None:
    """With a rate of next to nothing vectors stay where they begin: at tokens."""
    table = mini.text_encoder.get_input_embeddings().weight.detach()

    def begun(steps: int, restart: bool) -> int:
        still = {"tokens": 1, "attack_lr": 1e-12, "attack_steps": 1, "restart": restart}
        (prefix,) = Updates(mini, steps=steps, **still).trainer._kept.values()
        return int((table - prefix.detach()).square().sum(1).argmin())

    assert begun(1, restart=False) == begun(3, restart=False)
    assert begun(1, restart=True) != begun(3, restart=True)


@pytest.mark.parametrize("fresh", [False, True])
def test_an_update_costs_what_the_docstring_says(mini: TextToImage, fresh: bool) -> None:
    """2 forwards a sampler step, and one for every prediction; each step of an attack its own where they are fresh."""
    done = Updates(mini, batch=1, fresh_latents=fresh)
    level, retained, attacks = int(done.batches[0]["level"]), 3, 6
    drawn = (1 + retained) * 2 * level + 2 + retained
    assert done.cost.forwards == drawn + (attacks * (2 * 2 + 1) if fresh else 0)
    assert done.cost.forwards_with_gradient == attacks + 1 + retained


def test_on_stable_diffusion_it_is_the_authors_command() -> None:
    config = METHODS.load("advunlearn").configure("sd", "nudity", {})
    assert (config.steps, config.plain_steps, config.lr, config.retention, config.retained) == (1000, 200, 1e-5, 0.3, 5)
    assert (config.tokens, config.attack_steps, config.attack_lr, config.restart) == (1, 30, 1e-3, True)
    assert config.fresh_latents
    assert config.template == "a photo of {}"


def test_two_text_encoders_are_refused_before_anything_is_drawn(tmp_path: Path) -> None:
    tiny_xl().save_pretrained(tmp_path / "model")
    plan = Plan(model=str(tmp_path / "model"), methods=["uce", "advunlearn"], metrics=["ssim"], images=1)
    with pytest.raises(BenchError, match=r"advunlearn trains the text encoder, and .*model has two"):
        work_of(plan, tmp_path / "run", source=find_model(plan.model))
    assert not (tmp_path / "run").exists()
    other = plan.model_copy(update={"methods": ["uce"]})
    assert work_of(other, tmp_path / "run", source=find_model(plan.model)).erasures
