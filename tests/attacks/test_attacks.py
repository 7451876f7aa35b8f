"""Every attack on tiny settings: it keeps to its budget, is the same again, and leaves the model as it was."""

import numpy as np
import pytest
import torch

from erasebench import Attempt, TextToImage
from erasebench.attacking.contract import CHECKS, AttackSubject
from erasebench.attacking.contract import TARGETS as JOBS
from erasebench.erasure.contract import run_checks
from erasebench.images.jobs import Job
from erasebench.prompts.concepts import concept_names, get_concept
from erasebench.prompts.spelling import mentions
from erasebench.registry import ATTACKS
from erasebench.runs.plan import Generation


def nothing(images: np.ndarray) -> list[float | None]:
    return [0.0] * len(images)


def made(name: str, model: TextToImage) -> Attempt:
    """An attack that never succeeds."""
    return AttackSubject(ATTACKS.load(name), model).attempt()


@pytest.mark.slow
@pytest.mark.parametrize("name", ATTACKS.names())
def test_contract(name: str, mini: TextToImage) -> None:
    subject = AttackSubject(ATTACKS.load(name), mini)
    assert [(found.check, found.text) for found in run_checks(subject, CHECKS) if found.text] == []
    images = [outcome.image for outcome in subject.first[0].outcomes.values()]
    assert not np.array_equal(images[0], images[1])


def test_the_learned_word_stands_in_the_concepts_place(mini: TextToImage) -> None:
    from erasebench.attacks.concept_inversion import asking

    attempt = Attempt(mini, get_concept("cat"), JOBS, 1, Generation(steps=2), 0, nothing, lambda: mini.unet)
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
    attempt = Attempt(mini, get_concept(name), [], 1, Generation(steps=2), 0, nothing, lambda: mini.unet)
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
