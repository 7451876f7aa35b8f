"""What a method is: one function with a strict configuration and the parameters that it may change."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, model_validator

from ..errors import BenchError
from ..models.parameter_groups import part_of_group
from ..storage.schema import configured

if TYPE_CHECKING:
    from ..models.guidance import Guide
    from ..models.text_to_image import TextToImage
    from .trainer import Trainer


class GuideConfig(BaseModel):
    """What every method's configuration is; of a guide, all that it has in common.

    Every default is the paper's value for Stable Diffusion v1.4 and cites its source, and is checked as settings are;
    what a kind of concept or a smaller model needs instead stands in the method's presets.

    Attributes:
        recipes: other sets of defaults, chosen by a field `recipe`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, validate_default=True)
    recipes: ClassVar[Mapping[str, Mapping[str, Any]]] = {}

    @model_validator(mode="before")
    @classmethod
    def _fill_in_recipe(cls, given: Any) -> Any:
        if not isinstance(given, dict) or "recipe" not in given:
            return given
        recipe = str(given["recipe"])  # YAML reads the year of a recipe as a number
        return {**cls.recipes.get(recipe, {}), **given, "recipe": recipe}


class MethodConfig(GuideConfig):
    """The base of configurations of methods that change weights.

    Attributes:
        parameters: the weights that may change, a name in `erasebench.PARAMETER_GROUPS`.
    """

    parameters: str = "xattn"


@dataclass(frozen=True)
class ErasureTask:
    """What is to be erased.

    Attributes:
        concept: the concept's name.
        kind: "nudity", "style" or "object" (anything else); methods have presets by kind.
        prompt: the text whose meaning is erased.
        replacement: the text that takes its place; "" where the user gave none.
        anchors: prompts that show the replacement, or for a style generic paintings.
        phrase: the concept as it stands in a prompt, such as "a garbage truck".
        seed: fixes everything that is random in the training.
        besides: further concepts that the same erasure takes away; none for most methods (see `Method.several`).
    """

    concept: str
    kind: str
    prompt: str
    replacement: str
    anchors: tuple[str, ...]
    phrase: str
    seed: int
    besides: tuple[ErasureTask, ...] = ()

    @property
    def each(self) -> tuple[ErasureTask, ...]:
        """All concepts of the erasure, each alone."""
        return (replace(self, besides=()), *self.besides) if self.besides else (self,)

    @property
    def words(self) -> set[str]:
        """Of all concepts' names, in small letters: what is preserved names none of them."""
        return {word for one in self.each for word in one.prompt.lower().split()}

    @property
    def facts(self) -> dict[str, Any]:
        """All of it as JSON has it; `besides` where there are any."""
        return {key: value for key, value in asdict(self).items() if key != "besides" or value}


EraseFunction = Callable[["TextToImage", ErasureTask, Any, "Trainer"], None]
Several = Literal["sum", "turns", "joined"]
GuideFunction = Callable[[ErasureTask, Any], "Guide"]
Reason = Callable[[Any], str]


@dataclass(frozen=True)
class Method:
    """A registered method.

    Attributes:
        label: how papers write its name.
        paper: where it was published.
        config: the class of its configuration.
        erase: changes the model's weights in place.
        presets: overrides of the defaults by kind of concept ("style"), by model family ("mini") and by both
            ("mini/style"), applied in this order.
        needs_replacement: whether it can do nothing without a text that takes the concept's place.
        version: raise it when the method's results change; it is part of the cache key.
        deterministic: whether no seed changes its weights, as for a closed form: it is trained and drawn once.
        guide: of a method that changes no weights, what it does to sampling; None for all others.
        several: how it erases several concepts at once: "sum", in one solution, from `task.each`; "turns", a training
            whose steps take them in turns, each as many as it would have alone; "joined", with their texts joined by
            commas; None: one only.
        parts: of the model, whose weights it may change: "unet" or "text_encoder".
        one_encoder: why a configuration takes models with one text encoder alone, and what to do; "" for no reason, and
            None for a method that works on all.
        beside_weights: whether a guide stands only beside a row's weights, as in spm+transport.
    """

    label: str
    paper: str
    config: type[GuideConfig]
    erase: EraseFunction
    presets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    needs_replacement: bool = False
    version: int = 1
    deterministic: bool = False
    guide: GuideFunction | None = None
    several: Several | None = None
    parts: tuple[str, ...] = ("unet",)
    one_encoder: Reason | None = None
    beside_weights: bool = False

    def configure(self, family: str, kind: str, settings: Mapping[str, Any]) -> Any:
        """The configuration for a model family and a kind of concept, with a plan's settings on top.

        Raises:
            BenchError: a setting is unknown or of a wrong type, or names parameters of another part of the model.
        """
        config: Any = configured(self.config, self.label, self.presets, family, kind, settings)
        if self.guide is None and (part := part_of_group(config.parameters)) not in self.parts:
            raise BenchError(
                f"{self.label}: the parameters {config.parameters!r} are of {part}, and it trains "
                f"{' and '.join(self.parts)}. Give a group of these: CONTRIBUTING.md names them."
            )
        return config

    def check_encoders(self, count: int, config: Any, model: str) -> None:
        """Refuse a model with several text encoders where a configuration takes one.

        Args:
            count: the model's text encoders.
            config: the method's.
            model: the model's name.

        Raises:
            BenchError: with the reason, and what to do.
        """
        if count > 1 and self.one_encoder is not None and (reason := self.one_encoder(config)):
            raise BenchError(f"{self.label}: {model} has {count} text encoders; {reason}")


def method(
    label: str,
    paper: str,
    config: type[GuideConfig],
    presets: Mapping[str, Mapping[str, Any]] | None = None,
    aliases: tuple[str, ...] = (),
    needs_replacement: bool = False,
    version: int = 1,
    deterministic: bool = False,
    guides: bool = False,
    several: Several | None = None,
    parts: tuple[str, ...] = ("unet",),
    one_encoder: Reason | None = None,
    beside_weights: bool = False,
) -> Callable[[Callable[..., Any]], Method]:
    """Register a function as an erasure method, under its own name with dashes for underscores.

    The function changes weights of the model's `parts`, or, where it `guides`, gives the `Guide` that draws in their
    place.
    `aliases` and `beside_weights` are read by the registry, which needs them before it imports anything.
    """

    if beside_weights and not guides:
        raise ValueError("beside_weights is said of a guide: guides=True")

    def register(function: Callable[..., Any]) -> Method:
        erase, fixed = (_no_weights, True) if guides else (function, deterministic)
        guide, own = (function, ()) if guides else (None, parts)
        made = (label, paper, config, erase, presets or {}, needs_replacement, version, fixed, guide, several, own)
        return Method(*made, one_encoder, beside_weights)

    return register


def _no_weights(model: TextToImage, task: ErasureTask, config: Any, trainer: Trainer) -> None:
    raise ValueError("a guide changes no weights")
