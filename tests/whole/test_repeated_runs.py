"""Several runs in one process."""

import gc
from pathlib import Path

from diffusers import UNet2DConditionModel

from erasebench.engine.run import run
from erasebench.erasure.trainer import Trainer
from erasebench.runs.folder import RunFolder
from erasebench.runs.plan import Generation, Plan
from erasebench.scoring.judge import Judge

LARGE = (UNet2DConditionModel, Judge, Trainer)


def known() -> list[object]:
    return [thing for thing in gc.get_objects() if isinstance(thing, LARGE)]


def test_a_run_lets_go_of_its_model_judges_and_trainings(tmp_path: Path) -> None:
    """A tuning or an impact grid is hundreds of runs: one UNet of Stable Diffusion each would fill a GPU.

    Without the collector of cycles, which a GPU's memory does not call.
    """
    plan = Plan(
        methods=["esd", "uce"],
        metrics=["concept_rate", "ssim"],
        concept="garbage truck",
        images=1,
        train_steps=1,
        snapshots=[1],
        settings={"esd": {"sampler_steps": 3}},
        generation=Generation(steps=2),
    )
    gc.collect()
    before = known()
    gc.disable()
    try:
        assert run(plan, RunFolder(tmp_path / "run"), "cpu") == ()
        left = [type(thing).__name__ for thing in known() if not any(thing is old for old in before)]
    finally:
        gc.enable()
    assert left == []
