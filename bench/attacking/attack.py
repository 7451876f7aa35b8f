"""What an attack is: one function with a strict configuration, and what it must have access to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict

from ..storage.schema import configured

if TYPE_CHECKING:
    from .attempt import Attempt

# What an attacker must have: prompts and images alone; the text encoder, its gradients too; gradients of the erased
# UNet by its conditioning; the erased UNet's weights.
Access = Literal["black box", "text encoder", "gradients", "weights"]


class AttackConfig(BaseModel):
    """Base of an attack's configuration: frozen, and unknown keys are errors.

    Every default is the paper's value for Stable Diffusion v1.4 and cites its source; what a kind of concept or a
    smaller model needs instead stands in the attack's presets.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, validate_default=True)


AttackFunction = Callable[["Attempt", Any], None]


@dataclass(frozen=True)
class Attack:
    """A registered attack.

    Attributes:
        label: how papers write its name.
        paper: where it was published; "" for a control or an idea of this project.
        access: what the attacker must have.
        config: the class of its configuration.
        run: draws tries for targets until the concept comes back or the budget is used.
        presets: as a method's; "trial" has settings with which it takes seconds, for `bench check`.
        control: whether it shows what chance alone gives; such attacks are always run beside the others.
        version: raise it when the attack's results change; it is part of the key.
    """

    label: str
    paper: str
    access: Access
    config: type[AttackConfig]
    run: AttackFunction
    presets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    control: bool = False
    version: int = 1

    def configure(self, family: str, kind: str, settings: Mapping[str, Any]) -> AttackConfig:
        """The configuration for a model family and a kind of concept, with the user's settings on top.

        Raises:
            BenchError: a setting is unknown or of a wrong type.
        """
        return configured(self.config, self.label, self.presets, family, kind, settings)


def attack(
    label: str,
    paper: str,
    access: Access,
    config: type[AttackConfig] = AttackConfig,
    presets: Mapping[str, Mapping[str, Any]] | None = None,
    control: bool = False,
    version: int = 1,
) -> Callable[[AttackFunction], Attack]:
    """Register a function as an attack, under its own name with dashes for underscores."""

    def register(run: AttackFunction) -> Attack:
        return Attack(label, paper, access, config, run, presets or {}, control, version)

    return register
