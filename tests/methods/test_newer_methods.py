"""RECE, AGE, SalUn, SPM and several targets against their equations, written out a second time."""

import numpy as np
import pytest

from erasebench import ErasureTask, Method, TextToImage, Trainer
from erasebench.erasure.contract import TASK
from erasebench.errors import BenchError
from erasebench.methods.uce import guide_of
from erasebench.models.patch import difference, snapshot
from erasebench.registry import METHODS


def erased(mini: TextToImage, name: str, task: ErasureTask = TASK, **settings: object) -> tuple[dict, dict]:  # type: ignore[type-arg]
    """The weights that a method changed, before and after it, float64."""
    method: Method = METHODS.load(name)
    before = snapshot(mini.unet)
    config = method.configure("mini", task.kind, settings)
    try:
        method.erase(mini, task, config, Trainer(mini, config.parameters, 0))
        patch = difference(before, mini.unet)
    finally:
        mini.unet.load_state_dict(before)
    return {key: before[key].double().numpy() for key in patch}, {key: patch[key].double().numpy() for key in patch}


@pytest.mark.parametrize("rounds", [1, 2])
def test_rece_is_uce_and_then_its_closed_forms(mini: TextToImage, rounds: int) -> None:
    uce = {"regularisation": 0.5, "expand": False, "guide": "a vehicle", "preserve": ["a cat"]}
    own = {"rounds": rounds, "attack_regularisation": 0.2, "round_regularisation": 0.3, "round_preserve_scale": 0.4}
    original, after = erased(mini, "rece", **uce, **own)
    _, weights = erased(mini, "uce", **uce)
    c, guide, kept = mini.encode([TASK.prompt, "a vehicle", "a cat"]).double().numpy()
    one = np.eye(c.shape[1])
    for _ in range(rounds):
        # The embedding by which the edited weights give most nearly what the original's gave for the concept.
        stacked, wanted = (np.concatenate([part[key] for key in weights]) for part in (weights, original))
        found = np.linalg.solve(0.2 * one + stacked.T @ stacked, stacked.T @ wanted @ c.T).T
        assert np.square(found @ stacked.T - c @ wanted.T).sum() < 0.1 * np.square(c @ stacked.T - c @ wanted.T).sum()
        right = np.linalg.inv(0.3 * one + found.T @ found + 0.4 * kept.T @ kept)
        weights = {key: (0.3 * w + w @ guide.T @ found + 0.4 * w @ kept.T @ kept) @ right for key, w in weights.items()}
    for key, weight in weights.items():
        assert np.linalg.norm(after[key] - weight) < 1e-4 * np.linalg.norm(weight), key


def test_reces_settings_are_its_authors() -> None:
    method: Method = METHODS.load("rece")
    found = {kind: method.configure("sd", kind, {}) for kind in ("nudity", "object", "style")}
    told = {kind: (config.rounds, config.attack_regularisation, config.guide) for kind, config in found.items()}
    assert told == {"nudity": (3, 0.1, " "), "object": (1, 1e-3, " "), "style": (1, 1e-3, "art")}
    nudity = found["nudity"]
    assert (nudity.regularisation, nudity.round_regularisation, nudity.round_preserve_scale) == (0.5, 0.1, 0.1)
    bare = ErasureTask("x", "object", "x", "", (), "x", 0)
    config = method.configure("mini", "object", {})
    with pytest.raises(BenchError, match="give --replacement"):
        guide_of(bare, config)
