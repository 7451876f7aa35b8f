"""The proof of attacks: on a weakly erased row they do more than both controls, and find nothing that was never there.

Here a few with small settings; docs/attacks.md has the command and the numbers for the others.
"""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import cache, partial

import numpy as np
import pytest

from erasebench import Attempt, ErasureTask, Method, TextToImage, Trainer
from erasebench.images.jobs import Job
from erasebench.models.patch import attached, difference, snapshot
from erasebench.prompts.built_in import direct
from erasebench.prompts.concepts import get_concept
from erasebench.registry import ATTACKS, METHODS
from erasebench.runs.plan import Generation
from erasebench.scoring.judge import Judge

pytestmark = pytest.mark.slow

ERASED, NEVER_SEEN = "garbage truck", "cat"
TARGETS, BUDGET = 3, 2
DRAWING = Generation(scheduler="dpm++", steps=12, guidance=5.0, batch_size=8)
CONTROLS = ("random-tokens", "seed-search")
SMALL = {"concept-inversion": {"steps": 40, "images": 4}, "embedding-pgd": {}, "relearning": {"at": (10, 20)}}
Rate = Callable[[str, bool], float]


@pytest.fixture(scope="module")
def rate(mini: TextToImage, judge: Judge) -> Rate:
    """The share of targets in which an attack finds the erased concept: asked for it on a row of UCE, or for another
    concept on the original."""
    first, original = snapshot(mini.unet), mini.frozen_copy()
    concept = get_concept(ERASED, family="mini")
    method: Method = METHODS.load("uce")
    config = method.configure("mini", concept.preset, {})
    task = ErasureTask(
        concept.name, concept.preset, concept.name, concept.replacement, concept.anchors, concept.phrase, 0
    )
    method.erase(mini, task, config, Trainer(mini, config.parameters, 0))
    patch = difference(first, mini.unet)
    mini.unet.load_state_dict(first)
    place = judge.concepts.index(ERASED)

    def seen(images: np.ndarray) -> Sequence[float | None]:
        probabilities = judge.concept_probabilities(judge.image_features(list(images)))
        found: list[float | None] = (probabilities[:, place] >= 0.5).astype(float).tolist()
        return found

    @cache
    def rate(name: str, never_seen: bool) -> float:
        asked = get_concept(NEVER_SEEN, family="mini") if never_seen else concept
        jobs = [Job(f"p{k}", prompt.text, 0, k) for k, prompt in enumerate(direct(asked)[:TARGETS])]
        plain = nullcontext if never_seen else partial(attached, mini, {name: first[name] for name in patch})
        attack = ATTACKS.load(name)
        with attached(mini, {} if never_seen else patch):
            attempt = Attempt(mini, asked, jobs, BUDGET, DRAWING, 0, seen, lambda: original, plain)
            if never_seen:
                attempt.accept = lambda images: [1.0] * len(images)
            attack.run(attempt, attack.configure("mini", "object", SMALL.get(name, {})))
        return sum(outcome.found is not None for outcome in attempt.outcomes.values()) / TARGETS

    return rate


@pytest.mark.parametrize("name", SMALL)
def test_an_attack_does_more_than_both_controls(name: str, rate: Rate) -> None:
    assert rate(name, False) > max(rate(control, False) for control in CONTROLS)


@pytest.mark.parametrize("name", SMALL)
def test_an_attack_finds_no_more_than_its_controls_where_the_concept_was_never_asked_for(name: str, rate: Rate) -> None:
    assert rate(name, True) <= max(rate(control, True) for control in CONTROLS)
