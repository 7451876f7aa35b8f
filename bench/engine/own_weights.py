"""A row that nobody trains here: somebody's weights, compared with the base once and kept as a patch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from ..erasure.method import ErasureTask, Method, MethodConfig
from ..errors import BenchError
from ..models.formats.recognise import OwnWeights, recognise
from ..runs.plan import Variant
from .erasure import Erasure, Guided
from .setup import Setup

if TYPE_CHECKING:
    from ..models.text_to_image import TextToImage

VERSION = 1


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


def own_row(row: str, variant: Variant, task: ErasureTask, precision: str, guided: Guided | None = None) -> OwnRow:
    """A plan's row of somebody's weights.

    Raises:
        BenchError: there is no such file or folder, or it is none that can be a row.
    """
    if variant.path is None:
        raise ValueError("the row is a method's")
    try:
        own = recognise(Path(variant.path))
    except BenchError as error:
        raise BenchError(f"row {row}: {error}") from None
    config = OwnConfig(path=Path(variant.path), form=own.form, content=own.content, scale=variant.scale)
    label = variant.label or row
    if guided is not None and variant.label is None:
        label = f"{row.removesuffix(f'+{guided.name}')} + {guided.method.label}"
    method = Method(label, "", OwnConfig, _never, version=VERSION, deterministic=True)
    return OwnRow(row, label, own.told, method, config, task, None, precision, (), guided)


def _never(model: TextToImage, task: ErasureTask, config: Any, trainer: Any) -> None:
    raise ValueError("weights of somebody's own are not trained")


def bring(row: OwnRow, model: Callable[[], TextToImage]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The row's patch, and its facts: what it is, from which base, and what differs.

    Raises:
        BenchError: it does not fit the base; says which tensor.
    """
    from ..models.formats.read import read_own

    base = model()
    try:
        patch, difference = read_own(row.own, base, row.config.scale)
    except BenchError as error:
        raise BenchError(f"row {row.row}: {error}") from None
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


def remark_on(row: OwnRow, stored: str) -> str:
    """What stored facts say of weights, by this row's label: rows of the same weights share their facts."""
    _, what, rest = stored.partition(f" is {row.name} ")
    return f"{row.label}{what}{rest}" if what else stored
