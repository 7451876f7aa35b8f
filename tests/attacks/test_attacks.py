"""Every attack on tiny settings: it keeps to its budget, is the same again, and leaves the model as it was."""

from typing import Any

import numpy as np
import pytest
import torch

from erasebench import Attack, Attempt, TextToImage
from erasebench.images.jobs import Job
from erasebench.models.patch import difference, snapshot
from erasebench.prompts.concepts import get_concept
from erasebench.registry import ATTACKS
from erasebench.runs.plan import Generation

JOBS = [Job("p0", "a photo of a garbage truck", 0, 3), Job("p1", "a garbage truck at night", 0, 4)]
SMALL: dict[str, dict[str, Any]] = {"concept-inversion": {"steps": 2, "batch": 2, "images": 2}}


class Seen:
    """Sees the concept in examples of the original, and in no try."""

    def __init__(self) -> None:
        self.trying = False

    def __call__(self, images: np.ndarray) -> list[float | None]:
        return [0.0 if self.trying else 1.0] * len(images)


def made(name: str, model: TextToImage) -> Attempt:
    """An attack that never succeeds."""
    found: Attack = ATTACKS.load(name)
    seen = Seen()
    drawing = Generation(steps=2, batch_size=2)
    attempt = Attempt(model, get_concept("garbage truck"), JOBS, 2, drawing, 0, seen, lambda: model.frozen_copy())
    draw = attempt.draw

    def trying(tries: Any) -> list[bool]:
        seen.trying = True
        try:
            return draw(tries)
        finally:
            seen.trying = False

    attempt.draw = trying  # type: ignore[method-assign]
    found.run(attempt, found.configure("mini", "object", SMALL.get(name, {})))
    return attempt


@pytest.mark.parametrize("name", ATTACKS.names())
def test_every_attack(name: str, mini: TextToImage) -> None:
    before, encoder = snapshot(mini.unet), snapshot(mini.text_encoder)
    first, again = made(name, mini), made(name, mini)
    assert not difference(before, mini.unet)
    assert not difference(encoder, mini.text_encoder)
    assert not any(parameter.requires_grad for parameter in mini.unet.parameters())
    for target, outcome in first.outcomes.items():
        assert 1 <= outcome.tries <= 2
        assert outcome.told == again.outcomes[target].told
        assert outcome.image is not None
        assert np.array_equal(outcome.image, again.outcomes[target].image)
    images = [outcome.image for outcome in first.outcomes.values()]
    assert not np.array_equal(images[0], images[1])


@pytest.mark.parametrize("name", ATTACKS.names())
def test_it_says_where_it_comes_from_and_what_it_needs(name: str) -> None:
    found: Attack = ATTACKS.load(name)
    assert found.label
    assert found.run.__doc__
    assert found.access in ("black box", "text encoder", "gradients", "weights")
    if found.access == "gradients":
        assert "quation" in found.run.__doc__
    for kind in ("nudity", "object", "style"):
        for family in ("sd", "mini"):
            found.configure(family, kind, {})


def test_the_learned_word_stands_in_the_concepts_place(mini: TextToImage) -> None:
    from erasebench.attacks.concept_inversion import asking

    attempt = Attempt(mini, get_concept("cat"), JOBS, 1, Generation(steps=2), 0, Seen(), lambda: mini.unet)
    tokens = attempt.tokens
    word = tokens.table[tokens.content("cat")[0]]
    embedding, told = asking(attempt, "a photo of a cat at night", word)
    assert torch.equal(embedding, mini.encode(["a photo of a cat at night"])[0])
    assert told == "a photo of a ⟨v⟩ at night"
    assert asking(attempt, "something else", word)[1] == "⟨v⟩ something else"
