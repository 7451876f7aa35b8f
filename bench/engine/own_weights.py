"""A row that nobody trains here: somebody's weights, compared with the base once and kept as a patch.

A textual inversion changes no weights: it stands in the place of the text that a guide draws away from.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from ..erasure.method import ErasureTask, Method, MethodConfig
from ..errors import BenchError
from ..models.formats.recognise import OwnWeights, recognise
from ..models.patch import part_of
from ..registry import METHODS
from ..runs.plan import Variant
from .erasure import Erasure, Guided
from .setup import Setup

if TYPE_CHECKING:
    from ..models.guidance import Guide
    from ..models.text_to_image import TextToImage

VERSION = 1
AWAY = "negative-prompt"  # what draws with a textual inversion where the row names no guide


class OwnConfig(MethodConfig):
    """What is brought: where it lies, and what it is."""

    path: Path = Field(exclude=True)  # the content counts
    parameters: str = "full"
    form: str
    content: str
    scale: float


@dataclass(frozen=True)
class OwnRow(Erasure):
    """A row whose weights come from a file; what is asked of a training is asked of it."""

    def made_from(self, setup: Setup) -> dict[str, Any]:
        """Everything that its weights depend on."""
        return {"stage": "bring", "version": VERSION, "model": setup.source.revision, **self.config.model_dump()}

    @property
    def own(self) -> OwnWeights:
        """The files, as they are now."""
        return recognise(self.config.path)


@dataclass(frozen=True)
class OwnWord(OwnRow):
    """A row whose guide draws away from a textual inversion.

    Attributes:
        path: where it lies.
    """

    path: Path = Path()

    def made_from(self, setup: Setup) -> dict[str, Any]:
        """Everything that its images depend on beside the original's weights."""
        return {**Erasure.made_from(self, setup), "guide": self.method.label, "text": self.own.content}

    @property
    def own(self) -> OwnWeights:
        """The file, as it is now."""
        return recognise(self.path)

    @property
    def guide(self) -> Guide | None:
        """The guide, with vectors for the text that it draws away from."""
        from ..models.formats.embedding import read_embedding

        guide: Any = super().guide
        found: Guide = replace(guide, text=read_embedding(self.path))
        return found


def own_row(row: str, variant: Variant, task: ErasureTask, precision: str, guided: Guided | None = None) -> OwnRow:
    """A plan's row of somebody's weights, or of their textual inversion.

    Raises:
        BenchError: there is no such file or folder, it is none that can be a row, or not one with this guide or scale.
    """
    if variant.path is None:
        raise ValueError("the row is a method's")
    try:
        own = recognise(Path(variant.path))
        if own.form == "embedding":
            return _word(row, variant, own, task, precision, guided)
    except BenchError as error:
        raise BenchError(f"row {row}: {error}") from None
    config = OwnConfig(path=Path(variant.path), form=own.form, content=own.content, scale=variant.scale)
    label = _label(row, variant, guided)
    method = Method(label, "", OwnConfig, _never, version=VERSION, deterministic=True)
    return OwnRow(row, label, own.told, method, config, task, None, precision, (), guided)


def _word(
    row: str, variant: Variant, own: OwnWeights, task: ErasureTask, precision: str, guided: Guided | None
) -> OwnWord:
    if variant.scale != 1:
        raise BenchError(f"scale {variant.scale:g}: only a LoRA has a scale; this is {own.told}.")
    label = _label(row, variant, guided)
    if guided is None:
        method: Method = METHODS.load(AWAY)
        guided = Guided(AWAY, method, method.config())
    guide: Any = guided.method.guide and guided.method.guide(task, guided.config)
    if not (is_dataclass(guide) and any(field.name == "text" for field in fields(guide))):
        raise BenchError(f"{guided.method.label} draws away from no single text that {own.told} could stand for.")
    if getattr(guided.config, "text", None) is not None:
        raise BenchError(f"{own.told} stands in the place of {guided.name}'s text: leave `text` out.")
    return OwnWord(row, label, own.told, guided.method, guided.config, task, None, precision, (), None, own.path)


def _label(row: str, variant: Variant, guided: Guided | None) -> str:
    """How tables name a row: by its name, and the guide that it names."""
    if guided is None or variant.label is not None:
        return variant.label or row
    return f"{row.removesuffix(f'+{guided.name}')} + {guided.method.label}"


def _never(model: TextToImage, task: ErasureTask, config: Any, trainer: Any) -> None:
    raise ValueError("weights of somebody's own are not trained")


def bring(row: OwnRow, model: Callable[[], TextToImage]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The row's patch, and its facts: what it is, from which base, and what differs.

    Raises:
        BenchError: it does not fit the base; says which tensor.
    """
    from ..models.formats.read import read_own

    base = model()
    if isinstance(row, OwnWord):
        return {}, _facts_of_a_word(row, base)
    try:
        patch, difference = read_own(row.own, base, row.config.scale)
    except BenchError as error:
        raise BenchError(f"row {row.row}: {error}") from None
    if row.scaled_by_prompts and (others := [name for name in patch if part_of(name) != "unet"]):
        raise BenchError(f"row {row.row}: only a UNet's weights can be scaled by the prompt; these change {others[0]}.")
    facts: dict[str, Any] = {
        "method": row.name,
        "config": row.config.model_dump(),
        "base": {"model": base.name, "revision": base.revision},
        "differs": asdict(difference),
        "remark": f"{row.label} is {row.name} that somebody made: it differs from {base.name} "
        f"({base.revision[:16]}) in {difference}.",
        "cost": None,
        "history": [],
        "truncated": [],
    }
    return patch, facts


def _facts_of_a_word(row: OwnWord, base: TextToImage) -> dict[str, Any]:
    from ..models.formats.embedding import check_embedding, read_embedding

    vectors = read_embedding(row.path)
    try:
        check_embedding(vectors, base)
    except BenchError as error:
        raise BenchError(f"row {row.row}: {row.path}: {error}") from None
    return {
        "method": row.name,
        "config": row.config.model_dump(),
        "base": {"model": base.name, "revision": base.revision},
        "remark": f"{row.label} is {row.name} that somebody made, of {len(vectors)} vectors: {row.method.label} draws "
        "away from it.",
        "guides": True,
        "cost": None,
        "history": [],
        "truncated": [],
    }


def remark_on(row: OwnRow, stored: str) -> str:
    """What stored facts say of weights, by this row's label: rows of the same weights share their facts."""
    _, what, rest = stored.partition(f" is {row.name} ")
    return f"{row.label}{what}{rest}" if what else stored
