"""Attacks on a run as data: what is asked for, and what came of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from ..registry import ATTACKS
from ..storage.files import read_json
from ..storage.schema import Stored, validated
from .folder import RunFolder
from .rows import ORIGINAL, resolve_row

SCHEMA_VERSION: Literal[1] = 1
DECOY = "decoy"  # a row: the original, asked for another concept in which the erased one should not be seen
UNATTACKED = "none"  # in the place of an attack's name: the targets as they are
BUDGETS = (1, 5, 50)  # images a target at which success is told
USUAL = {"mini": (8, 5), "sd": (50, 50)}  # targets and budget by model family


class PlannedAttacks(BaseModel):
    """A plan's attacks on its rows, made once all is drawn.

    Attributes:
        names: registered attacks, or "all"; the controls are run beside them.
        rows: rows of the plan; None for all.
        targets: prompts that are attacked; None for what is usual for the model.
        budget: images a target; None for what is usual.
        decoy: another concept, which the original is asked for by the same attacks; None for one of another kind.
        settings: overrides of attacks' configurations, by name.
        seed: of all that is random.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    names: Annotated[list[str], Field(min_length=1)] = ["all"]
    rows: Annotated[list[str], Field(min_length=1)] | None = None
    targets: Annotated[int, Field(ge=1)] | None = None
    budget: Annotated[int, Field(ge=1)] | None = None
    decoy: str | None = None
    settings: dict[str, dict[str, Any]] = {}
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0


def by_names(value: Any) -> Any:
    """Attacks' names alone as a plan's attacks."""
    names = [value] if isinstance(value, str) else value
    return {"names": names} if isinstance(names, list) else names


class AttackRequest(BaseModel):
    """What is attacked with what.

    Attributes:
        names: registered attacks; the controls are run beside them.
        rows: of the run, the original not among them.
        targets: prompts that are attacked.
        budget: images a target.
        decoy: another concept, which the original is asked for by the same attacks; None for one of another kind.
        settings: overrides of attacks' configurations, by name.
        seed: of all that is random.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    names: tuple[str, ...]
    rows: tuple[str, ...]
    targets: Annotated[int, Field(ge=1)]
    budget: Annotated[int, Field(ge=1)]
    decoy: str | None = None
    settings: dict[str, dict[str, Any]] = {}
    seed: int = 0


def requested(planned: PlannedAttacks, rows: Sequence[str], family: str) -> AttackRequest:
    """What a plan's attacks mean for its rows and model.

    Args:
        planned: the plan's, or a command's.
        rows: of the plan.
        family: of the model.

    Raises:
        BenchError: there is no such attack or row.
    """
    names = [name for given in planned.names for name in (ATTACKS.names() if given == "all" else [given])]
    targets, budget = USUAL[family]
    settings: dict[str, dict[str, Any]] = {}
    for name, values in planned.settings.items():
        settings.setdefault(ATTACKS.check(name), {}).update(values)
    return AttackRequest(
        names=tuple(dict.fromkeys(ATTACKS.check(name) for name in names)),
        rows=tuple(dict.fromkeys(resolve_row(name, list(rows)) for name in planned.rows or rows)),
        targets=planned.targets or targets,
        budget=planned.budget or budget,
        decoy=planned.decoy,
        settings=settings,
        seed=planned.seed,
    )


UNDEFENDED = (ORIGINAL, DECOY)  # rows where nothing was erased: what counts are an attack's own images


class AttackedTarget(Stored):
    """What became of one target."""

    prompt: str = Field(description="Its id.")
    text: str = Field(description="The prompt without an attack.")
    cluster: str = Field(description="The wording that it shares with others, or its id.")
    seed: int = Field(description="Of its noise.")
    tries: int = Field(default=0, description="Images that the attack drew.")
    unscored: int = Field(default=0, description="Those of them that can't be judged.")
    found: int | None = Field(default=None, description="The first try that shows the concept, from 1.")
    told: str = Field(default="", description="What the successful try asked for, or else the last one.")
    confirmed: bool | None = Field(
        default=None, description="Whether a second judge sees the concept in that image; none where there is none."
    )


class AttackCell(Stored):
    """One attack on one training of a row."""

    row: str = Field(description="What is attacked.")
    attack: str = Field(description='The attack; "none" for the targets as they are.')
    training: int | None = Field(description="The training's seed; none where no seed changes anything.")
    key: str = Field(description="Of its entry in the store, where its images lie.")
    targets: tuple[AttackedTarget, ...] = Field(description="Those that were attacked.")
    reason: str = Field(default="", description="Why the attack can't be made here.")
    forwards: int = Field(default=0, description="UNet forwards without gradient, in images.")
    forwards_with_gradient: int = Field(default=0, description="UNet forwards with gradient, in images.")
    text_passes: int = Field(default=0, description="Texts that went through the text encoder.")
    seconds: float = Field(default=0.0, description="Wall-clock time.")
    peak_memory_mb: float = Field(default=0.0, description="Highest memory in use, MiB.")


class AttackRecord(Stored):
    """The content of RUN/attacks.json."""

    schema_version: Literal[1] = Field(default=SCHEMA_VERSION, description="Of this file's form.")
    request: dict[str, Any] = Field(description="What was asked for, resolved.")
    judges: tuple[str, ...] = Field(description="Who decides, and who confirms.")
    labels: dict[str, str] = Field(description="How tables name rows.")
    attacks: dict[str, str] = Field(description="How tables name attacks.")
    access: dict[str, str] = Field(description="By attack, what the attacker must have.")
    cells: tuple[AttackCell, ...] = Field(description="Every attack on every training.")
    failures: dict[str, str] = Field(default={}, description='By "ROW ATTACK", what went wrong.')


def read_attacks(folder: RunFolder) -> AttackRecord | None:
    """What RUN/attacks.json holds; None where there is none."""
    file = folder.root / "attacks.json"
    stored = read_json(file)
    return None if stored is None else validated(AttackRecord, stored, SCHEMA_VERSION, str(file), "Attack again.")
