"""Several runs in one process."""

import gc
from pathlib import Path

from diffusers import UNet2DConditionModel

from erasebench.engine.run import run
from erasebench.runs.folder import RunFolder
from erasebench.runs.plan import Generation, Plan


def networks() -> int:
    gc.collect()
    return sum(isinstance(known, UNet2DConditionModel) for known in gc.get_objects())


def test_a_run_lets_go_of_its_model_and_judges(tmp_path: Path) -> None:
    """A tuning or an impact grid is hundreds of runs: one UNet of Stable Diffusion each would fill a GPU."""
    before = networks()
    plan = Plan(
        methods=["uce"],
        metrics=["concept_rate", "ssim"],
        concept="garbage truck",
        images=1,
        generation=Generation(steps=2),
    )
    assert run(plan, RunFolder(tmp_path / "run"), "cpu") == ()
    assert networks() == before
