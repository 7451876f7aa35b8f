"""What the engine itself costs: many rows of a method and a metric that do next to nothing."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from io import StringIO
from pathlib import Path

import torch

from ...engine.run import run
from ...erasure.method import ErasureTask, MethodConfig, method
from ...erasure.trainer import Trainer
from ...errors import BenchError
from ...models.text_to_image import TextToImage
from ...registry import METHODS, METRICS, Entry
from ...runs.folder import RunFolder
from ...runs.plan import Plan, Variant
from ...scoring.context import ScoringContext
from ...scoring.metric import metric
from ...scoring.scores import SetScore


@method(label="Nothing", paper="none", config=MethodConfig)
def nothing(model: TextToImage, task: ErasureTask, config: MethodConfig, trainer: Trainer) -> None:
    """Change one number."""
    weight = next(iter(trainer.parameters.values()))
    with torch.no_grad():
        weight.view(-1)[0] += 1


@metric(label="One", better="higher", prompts=None, is_cost=False)
def one(images: None, context: ScoringContext) -> SetScore:
    """1 for every row."""
    return SetScore(1.0, 1)


def measure_engine(cells: Sequence[int]) -> Iterator[str]:
    """Lines: milliseconds a cell (training, saving, scoring, tables) by number of cells, and for a second call.

    Args:
        cells: how many rows each run has; one of them, the original, trains nothing.

    Raises:
        BenchError: a run failed.
    """
    with _registered():
        for count in cells:
            plan = Plan(
                name="engine",
                metrics=["one"],
                images=1,
                variants={f"row-{k}": Variant(method="nothing") for k in range(count - 1)},
            )
            with tempfile.TemporaryDirectory() as folder:
                first, again = (_timed(plan, RunFolder(Path(folder) / "run")) for _ in range(2))
            yield (
                f"{count} cells: {1000 * first / count:.1f} ms a cell; "
                f"the same command again: {1000 * again / count:.2f} ms a cell"
            )


def _timed(plan: Plan, folder: RunFolder) -> float:
    began = time.perf_counter()
    with redirect_stderr(StringIO()):
        failures = run(plan, folder, "cpu")
    if failures:
        raise BenchError(f"the engine's trial failed: {failures[0].cell}: {failures[0].reason}")
    return time.perf_counter() - began


@contextmanager
def _registered() -> Iterator[None]:
    """The trivial method and metric in the registries for a while."""
    pairs = ((METHODS, "nothing"), (METRICS, "one"))
    for registry, name in pairs:
        registry.entries()[name] = Entry(name, "", f"{__name__}:{name}")
    try:
        yield
    finally:
        for registry, name in pairs:
            del registry.entries()[name]
