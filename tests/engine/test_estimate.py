"""What a plan costs, known ahead."""

import re
from pathlib import Path

import pytest
from planned import work_of

from erasebench.engine.count_forwards import count_forwards
from erasebench.engine.estimate import estimate
from erasebench.engine.ray_request import RayRequest
from erasebench.engine.run import run
from erasebench.erasure.contract import TASK
from erasebench.erasure.method import Method
from erasebench.erasure.trainer import Trainer
from erasebench.errors import BenchError
from erasebench.models.patch import difference, restored
from erasebench.models.text_to_image import TextToImage
from erasebench.registry import METHODS
from erasebench.runs.folder import RunFolder
from erasebench.runs.plan import Generation, Plan


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in METHODS.names() if METHODS.load(name).guide is None])
def test_forwards_counted_ahead_are_those_of_the_training(mini: TextToImage, name: str) -> None:
    """Exactly for a few steps: the same seed draws the same levels."""
    method: Method = METHODS.load(name)
    config = method.configure("mini", "object", {})
    small = {"steps": 3, "sampler_steps": 4, "images": 4, "words": 30, "closest": 20, "bank": 5, "plain_steps": 1}
    config = config.model_copy(update={key: small[key] for key in small if key in type(config).model_fields})
    with restored(mini) as before:
        ahead = count_forwards(mini, method, config, TASK)
        assert difference(before, mini) == {}
        trainer = Trainer(mini, config.parameters, TASK.seed, None, block=1)
        method.erase(mini, TASK, config, trainer)
    cost = trainer.cost()
    assert (ahead.forwards, ahead.forwards_with_gradient) == (cost.forwards, cost.forwards_with_gradient)


def test_long_trainings_are_extrapolated(mini: TextToImage) -> None:
    """ESD takes 24.5 guided sampler steps on average and two targets: 51 forwards a step."""
    method: Method = METHODS.load("esd")
    cost = count_forwards(mini, method, method.configure("sd", "nudity", {}), TASK)
    assert cost.forwards == pytest.approx(51_000, rel=0.2)
    assert (cost.train_steps, cost.forwards_with_gradient) == (1000, 1000)


def test_attacks_that_begin_late_are_counted(mini: TextToImage) -> None:
    """RACE: 1,000 plain steps, and 1,000 with 10 ascents before each; AdvUnlearn: 200, and 800 with 30."""
    found = {}
    for name in ("race", "advunlearn"):
        method: Method = METHODS.load(name)
        found[name] = count_forwards(mini, method, method.configure("sd", "nudity", {}), TASK)
    assert (found["race"].train_steps, found["race"].forwards_with_gradient) == (2000, 1000 + 1000 * 11)
    assert (found["advunlearn"].train_steps, found["advunlearn"].forwards_with_gradient) == (1000, 6000 + 800 * 30)
    update, attack = 6 * 49 + 7, 49 + 1  # 24.5 guided sampler steps on average
    assert found["advunlearn"].forwards == pytest.approx(1000 * update + 800 * 30 * attack, rel=0.1)


def cluster_of(workers: int, monkeypatch: pytest.MonkeyPatch) -> RayRequest:
    """A cluster with room for so many."""

    class Room:
        def __init__(self, *_: object) -> None: ...
        def room_for(self, wanted: int | None) -> int:
            return workers

        def leave(self) -> None: ...

    monkeypatch.setattr("erasebench.engine.ray_cluster.Cluster", Room)
    return RayRequest("there:1")


@pytest.mark.slow
def test_a_dry_run_counts_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("erasebench.engine.estimate.SECONDS", 0.2)
    plan = Plan(methods=["uce"], metrics=["concept_rate", "ssim"], images=2, generation=Generation(steps=3))
    folder = RunFolder(tmp_path / "run")
    lines = "\n".join(estimate(plan, folder, "cpu"))
    counts = ("1 erasures, 4 image sets", "images to draw: 8; there already: 0", "UNet forwards: 48 to draw")
    for text in (*counts, "disk:", "memory: about", "time on cpu: about"):
        assert text in lines
    kept = "\n".join(estimate(plan.model_copy(update={"keep_images": "none"}), folder, "cpu", workers=3))
    assert "of images, of which 0 stay" in kept
    assert re.search(r"; with 3 workers about .*, \d+% of which they have a task: .* worker-hours", kept)
    there = "\n".join(estimate(plan, folder, "cpu", ray=cluster_of(1, monkeypatch)))
    assert re.search(
        r"; with 1 workers of the cluster, as fast as this machine, about .* have a task: .* worker-hours", there
    )
    assert not folder.root.exists()
    run(plan, folder, "cpu")
    images = work_of(plan, folder.root).images["uce", "objects"]
    images.store.drop("images", images.drawn[0].key)  # type: ignore[union-attr]
    lines = "\n".join(estimate(plan, folder, "cpu"))
    assert "0 erasures" in lines
    assert "images to draw: 2; there already: 6" in lines


def test_a_cluster_that_can_not_be_had_is_told_before_anything_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("erasebench.engine.estimate.load_model", lambda *_: pytest.fail("loaded"))
    plan = Plan(methods=["sld"], metrics=["ssim"], images=2)
    with pytest.raises(BenchError, match="--gpus-per-task"):
        estimate(plan, RunFolder(tmp_path / "run"), "cpu", ray=RayRequest(share=2.0))


def test_without_weights_the_counts_still_stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    plan = Plan(model="absent/model", methods=["uce"], metrics=["ssim"], images=4)
    lines = "\n".join(estimate(plan, RunFolder(tmp_path / "run"), "cpu"))
    assert "images to draw: 8" in lines
    assert "time: not known without the weights" in lines
    guided = Plan(model="absent/model", methods=["sld"], metrics=["ssim"], images=4, generation=Generation(steps=3))
    told = "\n".join(estimate(guided, RunFolder(tmp_path / "run"), "cpu"))
    assert "UNet forwards: 60 to draw" in told  # 4 images by two a step, and 4 by three
