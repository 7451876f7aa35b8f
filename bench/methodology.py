"""What a method is: one function with a strict configuration and the parameters that it may change."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, ValidationError

from .errors import BenchError

if TYPE_CHECKING:
    from .models import TextToImage
    from .training import Trainer


class MethodConfig(BaseModel):
    """Base of a method's configuration: frozen, and unknown keys are errors.

    Every default is the paper's value for Stable Diffusion v1.4 and cites its source; what a smaller model
    needs instead stands in the method's presets.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    parameters: str = "xattn"


@dataclass(frozen=True)
class ErasureTask:
    """What is to be erased.

    Attributes:
        concept: the concept's name.
        prompt: the text whose meaning is erased.
        guide: the text that takes its place, for methods that need one.
        seed: fixes everything that is random in the training.
    """

    concept: str
    prompt: str
    guide: str
    seed: int


EraseFunction = Callable[["TextToImage", ErasureTask, Any, "Trainer"], None]


@dataclass(frozen=True)
class Method:
    """A registered method.

    Attributes:
        label: how papers write its name.
        paper: where it was published.
        config: the class of its configuration.
        erase: changes the model's weights in place.
        presets: overrides of the defaults by model family ("mini").
        version: raise it when the method's results change; it is part of the cache key.
    """

    label: str
    paper: str
    config: type[MethodConfig]
    erase: EraseFunction
    presets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    version: int = 1

    def configure(self, family: str, settings: Mapping[str, Any]) -> MethodConfig:
        """The configuration for a model family, with a plan's settings on top.

        Raises:
            BenchError: a setting is unknown or of a wrong type.
        """
        try:
            return self.config(**{**self.presets.get(family, {}), **settings})
        except ValidationError as error:
            allowed = ", ".join(f"{name}: {info.annotation}" for name, info in self.config.model_fields.items())
            first = error.errors()[0]
            key = ".".join(str(part) for part in first["loc"])
            raise BenchError(
                f"{self.label}: setting {key!r} is wrong: {first['msg']}. Allowed settings: {allowed}."
            ) from None


def method(
    label: str,
    paper: str,
    config: type[MethodConfig],
    presets: Mapping[str, Mapping[str, Any]] | None = None,
    version: int = 1,
) -> Callable[[EraseFunction], Method]:
    """Register a function as an erasure method, under its own name with dashes for underscores."""

    def register(erase: EraseFunction) -> Method:
        return Method(label, paper, config, erase, presets or {}, version)

    return register
