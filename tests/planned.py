"""Plans unfolded for tests: nothing is fetched, loaded or run."""

from pathlib import Path

from erasebench.engine.setup import Setup, set_up
from erasebench.engine.work import Work, unfold
from erasebench.models.catalog import ModelSource, find_model
from erasebench.runs.folder import RunFolder
from erasebench.runs.plan import Plan


def setup_of(plan: Plan, folder: Path, device: str = "cpu", source: ModelSource | None = None) -> Setup:
    return set_up(plan, source or find_model("mini"), RunFolder(folder), device)


def work_of(plan: Plan, folder: Path, device: str = "cpu", source: ModelSource | None = None) -> Work:
    return unfold(setup_of(plan, folder, device, source))
