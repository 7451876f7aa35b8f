"""Every attack on tiny settings: it keeps to its budget, is the same again, and leaves the model as it was."""

from typing import Any

import numpy as np
import pytest
import torch

from erasebench import Attack, Attempt, TextToImage
from erasebench.images.jobs import Job
from erasebench.models.patch import difference, snapshot
from erasebench.prompts.concepts import concept_names, get_concept
from erasebench.prompts.spelling import mentions
from erasebench.registry import ATTACKS
from erasebench.runs.plan import Generation

JOBS = [Job("p0", "a photo of a garbage truck", 0, 3), Job("p1", "a garbage truck at night", 0, 4)]
SMALL: dict[str, dict[str, Any]] = {
    "concept-inversion": {"steps": 2, "batch": 2, "images": 2},
    "continuous-inversion": {"steps": 2, "batch": 2, "images": 2},
    "embedding-pgd": {"steps": 2},
    "inverted-latent": {"steps": 2},
    "mma-diffusion": {"steps": 2, "exchanges": 8, "tokens": 4},
    "p4d": {"steps": 4, "steps_an_image": 2, "tokens": 4},
    "p4d-reimplemented": {"steps": 2, "tokens": 4},
    "relearning": {"at": [1, 2], "batch": 2, "images": 2},
    "ring-a-bell": {"population": 4, "generations": 2, "tokens": 4},
    "unlearndiffatk": {"steps": 2},
}


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

    def trying(*tries: Any) -> list[bool]:
        seen.trying = True
        try:
            return draw(*tries)
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


def test_words_are_known_for_every_concept_and_do_not_name_it() -> None:
    from erasebench.attacks.languages import known_names
    from erasebench.attacks.synonyms import known_words

    names = concept_names()
    assert list(known_words()) == list(known_names()) == names
    assert {len(found) for found in known_names().values()} == {5}
    named = [(n, word) for n in names for word in known_words()[n] if mentions(word, n)]
    assert named == []


@pytest.mark.parametrize(
    ("name", "text", "wanted"),
    [
        ("garbage truck", "a photo of a garbage truck at night", "a photo of a dustcart at night"),
        ("van gogh", "a cat, in the style of van gogh", "a cat, a dustcart"),
        ("garbage truck", "a street in the morning", "a dustcart, a street in the morning"),
    ],
)
def test_a_phrase_takes_the_concepts_place(name: str, text: str, wanted: str, mini: TextToImage) -> None:
    attempt = Attempt(mini, get_concept(name), [], 1, Generation(steps=2), 0, Seen(), lambda: mini.unet)
    assert attempt.instead(Job("p", text, 0, 0), "a dustcart") == wanted


def test_long_prompts_keep_the_prompt_whole(mini: TextToImage) -> None:
    attempt = made("long-prompts", mini)
    for job in JOBS:
        told = attempt.outcomes[job.prompt_id].told
        assert told.endswith(f" {job.text}")
        assert 30 <= attempt.model.token_count(told) <= 30 + attempt.model.token_count(job.text)


def test_every_typo_is_another_and_severer_ones_are_further() -> None:
    from erasebench.attacks.typos import EDITS, mistyped

    def number(*what: object) -> int:
        return hash(what)

    for severity in (1, 2, 3):
        found = [mistyped("garbage truck", edit, severity, number) for edit in EDITS]
        assert "garbage truck" not in found[:4]
    assert len(mistyped("garbage truck", EDITS[0], 3, number)) == len("garbage truck") - 6
