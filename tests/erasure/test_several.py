"""Several concepts in one erasure: each method's way, turns of trainings, and what is refused."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from erasebench import ErasureTask, Method, Trainer
from erasebench.erasure import several
from erasebench.models.patch import restored
from erasebench.models.text_to_image import TextToImage
from erasebench.registry import METHODS

BUS = ErasureTask("bus", "object", "bus", "road", ("road",), "a bus", 0)
CAT = ErasureTask("cat", "object", "cat", "dog", ("dog",), "a cat", 0)
BOTH = replace(BUS, besides=(CAT,))
TURNS = [name for name in METHODS.names() if METHODS.load(name).several == "turns"]
SUMS = [name for name in METHODS.names() if METHODS.load(name).several == "sum"]


def small(name: str, **settings: Any) -> tuple[Method, Any]:
    """A method with settings that make it quick."""
    method: Method = METHODS.load(name)
    quick = {"steps": 2, "batch": 1, "sampler_steps": 3, "warmup": 1, "images": 2, "words": 40, "bank": 3, "closest": 9}
    quick |= {"plain_steps": 1, "ascents": 1, "regular_prompts": 2, "anchors": 2}
    known = {key: value for key, value in quick.items() if key in method.config.model_fields}
    return method, method.configure("mini", "object", known | settings)


def erased(
    model: TextToImage, method: Method, config: Any, task: ErasureTask
) -> tuple[dict[str, torch.Tensor], Trainer]:
    """The weights that an erasure leaves; the model's own are put back."""
    with restored(model):
        trainer = Trainer(model, config.parameters, seed=0)
        several.erase(method, model, task, config, trainer)
        return {name: value.detach().clone() for name, value in trainer.parameters.items()}, trainer


@pytest.mark.parametrize("name", TURNS)
def test_trainings_take_concepts_in_turns(mini: TextToImage, name: str) -> None:
    """As many steps for each concept as it would have alone."""
    method, config = small(name)
    with restored(mini) as before:
        both, trainer = erased(mini, method, config, BOTH)
    assert trainer.step == 2 * config.steps
    assert any(not torch.equal(both[key], before[key]) for key in both)


def test_a_turn_is_each_second_step(mini: TextToImage) -> None:
    """Each loss is asked for its own steps in order, with all calls of an update for one concept."""
    asked: list[tuple[str, int]] = []

    def erase(model: TextToImage, task: ErasureTask, config: Any, trainer: Trainer) -> None:
        weight = next(iter(trainer.parameters.values()))

        def loss(call: int) -> torch.Tensor:
            asked.append((task.concept, call))
            return weight.square().mean()

        trainer.fit(loss, steps=2, lr=1e-4, accumulate=2)

    method, config = small("esd")
    erased(mini, replace(method, erase=erase), config, BOTH)
    turns = [("bus", 0), ("bus", 1), ("cat", 0), ("cat", 1), ("bus", 2), ("bus", 3), ("cat", 2), ("cat", 3)]
    assert asked == turns


@pytest.mark.parametrize("name", SUMS)
def test_closed_forms_sum(mini: TextToImage, name: str) -> None:
    """In one solution, in which order the concepts stand changes nothing, and each alone gives something else."""
    method, config = small(name)
    found = [erased(mini, method, config, task)[0] for task in (BOTH, replace(CAT, besides=(BUS,)), BUS, CAT)]
    for key, value in found[0].items():
        assert torch.allclose(value, found[1][key], atol=1e-5)
    assert all(any(not torch.allclose(found[0][key], one[key], atol=1e-5) for key in one) for one in found[2:])


def test_what_is_preserved_names_no_concept() -> None:
    assert BOTH.words == {"bus", "cat"}
    assert [one.besides for one in BOTH.each] == [(), ()]
    assert "besides" not in BUS.facts
    assert BOTH.facts["besides"][0]["concept"] == "cat"
