"""What is broken in an attack is named, and the one that `bench new` writes keeps the contract."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import BaseModel

from erasebench import AttackConfig, Attempt, TextToImage, attack
from erasebench.attacking.contract import CHECKS, AttackSubject
from erasebench.develop.scaffold import new_attack
from erasebench.erasure.contract import run_checks
from erasebench.registry import Registry

calls: list[int] = []


def idle(attempt: Attempt, config: Any) -> None:
    """Asks for nothing at all, whatever the concept."""


def partial(attempt: Attempt, config: Any) -> None:
    """Asks for the first of the targets alone."""
    attempt.draw([attempt.ask(attempt.targets[0])])


def greedy(attempt: Attempt, config: Any) -> None:
    """Draws more images of a target than the budget allows."""
    for _ in range(9):
        attempt.draw([attempt.ask(target) for target in attempt.targets])


def fickle(attempt: Attempt, config: Any) -> None:
    """Asks for something else whenever it is called."""
    calls.append(1)
    attempt.draw([attempt.ask(target, seed=len(calls)) for target in attempt.targets])


def silent(attempt: Attempt, config: Any) -> None:
    """Draws embeddings and does not say of what."""
    contexts = attempt.meant(attempt.targets)
    attempt.draw([attempt.ask(t, c, told=" ") for t, c in zip(attempt.targets, contexts, strict=True)])


def careless(attempt: Attempt, config: Any) -> None:
    """Changes the weights of the erased model and leaves them so."""
    weight = next(iter(attempt.weights("xattn").values()))
    weight.data.add_(1e-3)
    attempt.draw([attempt.ask(target) for target in attempt.targets])


def open_handed(attempt: Attempt, config: Any) -> None:
    """Lets weights of the erased model take gradients for ever."""
    next(iter(attempt.weights("xattn").values())).requires_grad_(True)
    attempt.draw([attempt.ask(target) for target in attempt.targets])


def undocumented(attempt: Attempt, config: Any) -> None:
    attempt.draw([attempt.ask(target) for target in attempt.targets])


@pytest.mark.parametrize(
    ("run", "message"),
    [
        (idle, "it drew nothing"),
        (partial, "[1, 0] images were drawn"),
        (greedy, "only for targets of `live`"),
        (fickle, "two attacks with one seed differ"),
        (silent, "a try tells nothing"),
        (careless, "1 weights are not as before"),
        (open_handed, "1 weights still take gradients"),
        (undocumented, "docstring is missing"),
    ],
)
def test_what_is_broken_is_named(run: Callable[..., Any], message: str, mini: TextToImage) -> None:
    made = attack("A", "", "black box")(run)
    errors = [found.text for found in run_checks(AttackSubject(made, mini), CHECKS) if found.text]
    assert any(message in error for error in errors), errors


class Loose(BaseModel):
    """Takes any key."""


def test_registration_and_configuration_are_checked(mini: TextToImage) -> None:
    for fields in ({"label": " "}, {"access": "a friend"}):
        declared: dict[str, Any] = {"label": "A", "paper": "", "access": "black box", **fields}
        assert [f.text for f in run_checks(AttackSubject(attack(**declared)(partial), mini), CHECKS[-1:]) if f.text]
    loose = attack("A", "", "black box", config=Loose)(partial)  # type: ignore[arg-type]
    assert "is accepted" in next(run_checks(AttackSubject(loose, mini), CHECKS[:1])).text


def test_a_new_attack_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mini: TextToImage) -> None:
    files = new_attack("my-attack", tmp_path / "package")
    assert [file.name for file in files] == ["pyproject.toml", "erasebench_my_attack.py", "test_my_attack.py"]
    entry = '[project.entry-points."erasebench.attacks"]\nmy-attack = "erasebench_my_attack:my_attack"'
    assert entry in files[0].read_text()
    monkeypatch.syspath_prepend(str(tmp_path / "package"))
    point = SimpleNamespace(name="my-attack", dist=None, module="erasebench_my_attack", attr="my_attack")
    monkeypatch.setattr("erasebench.registry.entry_points", lambda group: [point] * (group == "erasebench.attacks"))
    registry = Registry("attack")
    assert registry.entries()["my-attack"].summary.startswith("Ask for the concept in other words")
    subject = AttackSubject(registry.load("my-attack"), mini)
    assert [found.text for found in run_checks(subject, CHECKS) if found.text] == []
    assert [o.told for o in subject.first[0].outcomes.values()] == [
        "a photo of a garbage truck, seen from above",
        "a garbage truck, seen from above at night",
    ]
    assert subject.attack.config is not AttackConfig
