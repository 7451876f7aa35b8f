"""What is wrong with a cluster, or a machine of it, is said before any work; none of this needs Ray."""

from __future__ import annotations

import errno
import socket
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from erasebench.cli.app import app
from erasebench.cli.working import Working
from erasebench.engine import ray_cluster
from erasebench.engine.crew import Crew
from erasebench.engine.ray_cluster import Cluster
from erasebench.engine.ray_request import RayRequest
from erasebench.engine.ray_worker import RayWorker
from erasebench.engine.setup import Setup, resolve
from erasebench.engine.source import packages_of
from erasebench.engine.work import unfold
from erasebench.errors import BenchError
from erasebench.registry import ATTACKS, Entry, Registry
from erasebench.runs.folder import RunFolder
from erasebench.runs.plan import Plan

PLAN = Plan(methods=["uce"], metrics=["ssim"], images=2)


@pytest.fixture
def setup(tmp_path: Path) -> Setup:
    return resolve(PLAN, RunFolder(tmp_path / "run"), "cpu")


@pytest.fixture
def cluster(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    monkeypatch.setattr(ray_cluster, "_attach", lambda address: None)
    return Cluster(setup, RayRequest())


def test_a_machine_like_this_one_is_taken(cluster: Cluster) -> None:
    with cluster.probes() as probes:
        cluster.check(
            RayWorker().greet("cpu", cluster.packages, cluster.folder, list(map(str, probes.values()))), probes
        )
        left = [probe.parent for probe in probes.values()]
        assert [len(list(folder.iterdir())) for folder in left] == [2, 2]
    assert not any(folder.exists() for folder in left)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"version": "0.0.9"}, "has erasebench 0.0.9, this machine"),
        ({"code": {}}, "has other source files of erasebench, "),
        ({"probes": ["No such file or directory", ""]}, r"can't read and write the store .*\(No such file or dir"),
        ({"probes": [0, "No such file or directory"]}, r"can't read and write the run's folder .*, --out \(No such"),
        ({"process": 0}, "can't read and write the store"),  # its answer isn't here
        ({"folder": False}, "has no folder"),
        ({"made_on": "older"}, "other last digits than this machine: torch 1.0, not"),
    ],
)
def test_a_machine_that_differs_is_refused(cluster: Cluster, changes: dict[str, Any], told: str) -> None:
    with cluster.probes() as probes:
        greeting = RayWorker().greet("cpu", cluster.packages, cluster.folder, list(map(str, probes.values())))
        if "probes" in changes:
            both = zip(changes["probes"], greeting["probes"], strict=True)
            changes = {"probes": [other or same for other, same in both]}
        if "made_on" in changes:
            changes = {"made_on": greeting["made_on"] | {"torch": "1.0", "device": "a slower CPU"}}
        with pytest.raises(BenchError, match=told):
            cluster.check(greeting | changes, probes)


def test_a_store_that_is_not_there_is_told_by_the_worker(cluster: Cluster, tmp_path: Path) -> None:
    greeting = RayWorker().greet("cpu", [], str(tmp_path / "absent"), [str(tmp_path / "elsewhere" / "probe")])
    assert (greeting["probes"], greeting["folder"]) == (["No such file or directory"], False)


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ({"nudenet": "1.0"}, "nudenet 1.0, not "),
        ({"CLIP weights": None}, "CLIP weights missing, not abc"),
        ({"a hash of the work": "def"}, "a hash of the work def, not "),  # such as of prompts from another file
    ],
)
def test_a_machine_that_makes_other_work_of_the_plan_is_refused(
    cluster: Cluster, setup: Setup, other: dict[str, str | None], told: str
) -> None:
    mine = replace(unfold(setup), clip="abc").identity
    cluster.check_work("there", dict(mine), mine)
    with pytest.raises(BenchError, match=f"there would score other images than this machine plans: {told}"):
        cluster.check_work("there", mine | other, mine)


@pytest.mark.parametrize("share", [0.0, -0.5, 1.5, 0.00005, float("nan")])
def test_a_share_of_a_gpu_is_one_that_ray_counts(setup: Setup, share: float) -> None:
    with pytest.raises(BenchError, match=r"--gpus-per-task .*: a worker has one GPU or a share of one"):
        Crew(setup, 2, ray=RayRequest(share=share))
    with pytest.raises(BenchError, match=r"--gpus-per-task 0.5: with --device cpu no worker has a GPU"):
        Crew(setup, 2, ray=RayRequest(share=0.5))


def test_a_share_is_for_a_cluster() -> None:
    with pytest.raises(BenchError, match="--gpus-per-task is for workers on a cluster"):
        Working(share=0.5)
    assert Working(ray="auto", share=0.5).cluster == RayRequest("auto", 0.5)
    assert Working(ray="auto").cluster == RayRequest("auto", 1.0)


@pytest.mark.parametrize("command", [["attack", "RUN"], ["table1"], ["run"]])
def test_every_command_that_makes_much_may_work_on_a_cluster(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each says what is wrong with what is asked of the cluster, before any work."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "RUN").mkdir()
    monkeypatch.setattr("erasebench.runs.record.read_run", lambda folder: (PLAN, 0))
    with pytest.raises(BenchError, match="--gpus-per-task is for workers on a cluster"):
        app([*command, "--gpus-per-task", "0.5"], standalone_mode=False)
    asked: list[RayRequest | None] = []

    def stopped(*arguments: Any, **more: Any) -> None:
        asked.extend(one for one in (*arguments, *more.values()) if isinstance(one, RayRequest))
        raise BenchError("so far")

    monkeypatch.setattr("erasebench.engine.attack_run.attack_run", stopped)
    monkeypatch.setattr("erasebench.engine.run.run", stopped)
    with pytest.raises(BenchError, match="so far"):
        app([*command, "--ray", "there:1", "--gpus-per-task", "0.5"], standalone_mode=False)
    assert asked == [RayRequest("there:1", 0.5)]


def test_code_of_attacks_is_compared_too(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = Registry.entries
    plugged = {"mine": Entry("mine", "", "some_plug_in.attacks:mine", package="some-plug-in")}
    monkeypatch.setattr(Registry, "entries", lambda self: plugged if self is ATTACKS else plain(self))
    assert set(packages_of(PLAN, ["mine"])) - set(packages_of(PLAN)) == {"some_plug_in"}


def test_one_gpu_of_this_machine_is_none_of_a_cluster(setup: Setup) -> None:
    with pytest.raises(BenchError, match="--device cuda:1 names a GPU of this machine"):
        Crew(replace(setup, device="cuda:1"), 2, ray=RayRequest())


def node(alive: bool = True, **resources: float) -> dict[str, Any]:
    return {"Alive": alive, "Resources": {"memory": 64 * 2.0**30, **resources}, "NodeManagerHostname": "there"}


@pytest.mark.parametrize(
    ("device", "nodes", "wanted", "told"),
    [
        ("cuda", [node(CPU=8)], None, "the cluster has no GPU, and --device cuda asks for one"),
        (
            "cuda",
            [node(CPU=8, GPU=2)],
            5,
            r"--workers 5: the cluster has room for 4\. It has 8 CPU, .*2 GPU on 1 machi",
        ),
        ("cpu", [node(CPU=2), node(alive=False, CPU=8)], 3, "--workers 3: the cluster has room for 2"),
        ("cpu", [node(CPU=0)], None, "one worker: the cluster has room for 0"),
        ("cpu", [node(CPU=8, memory=2.0**20)], None, "room for 0"),
        ("cuda", [node(CPU=8, GPU=2), node(CPU=3, GPU=8)], None, 7),
        ("cpu", [node(CPU=8), node(CPU=3)], 9, 9),
    ],
)
def test_room_is_that_of_each_machine(
    device: str, nodes: list[Any], wanted: int | None, told: str | int, setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two workers a GPU here, if the machine has CPUs for them."""
    monkeypatch.setattr(ray_cluster, "_attach", lambda address: None)
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(nodes=lambda: nodes))
    cluster = Cluster(replace(setup, device=device), RayRequest(share=0.5 if device == "cuda" else 1.0))
    if isinstance(told, int):
        assert cluster.room_for(wanted) == told
        return
    with pytest.raises(BenchError, match=told):
        cluster.room_for(wanted)


def test_a_machine_whose_gpu_torch_does_not_see_is_refused(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_cluster, "_attach", lambda address: None)
    cluster = Cluster(replace(setup, device="cuda"), RayRequest())
    with cluster.probes() as probes:
        greeting = RayWorker().greet("cuda", cluster.packages, cluster.folder, list(map(str, probes.values())))
        with pytest.raises(BenchError, match="PyTorch sees no CUDA device there, though Ray counts GPUs"):
            cluster.check(greeting | {"gpu": False}, probes)


def test_another_device_is_noted_and_told(cluster: Cluster, setup: Setup, caplog: pytest.LogCaptureFixture) -> None:
    with cluster.probes() as probes:
        same = RayWorker().greet("cpu", cluster.packages, cluster.folder, list(map(str, probes.values())))
        other = same | {"made_on": same["made_on"] | {"device": "a slower CPU"}}
        cluster.check(other, probes)
    found = [cluster.other_device(greeting) for greeting in (same, other, other)]
    assert found == ["", "a slower CPU", "a slower CPU"]
    assert setup.elsewhere == ["a slower CPU"]
    assert len([record for record in caplog.records if "it draws images and looks" in record.message]) == 1


def test_a_store_without_room_is_told_before_any_work(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Of this machine's, and of another's."""
    plain = Path.write_text

    def full(self: Path, *arguments: Any, **more: Any) -> int:
        if self.name.startswith("probe"):
            raise OSError(errno.ENOSPC, "No space left on device", str(self))
        return plain(self, *arguments, **more)

    with cluster.probes() as probes:
        monkeypatch.setattr(Path, "write_text", full)
        greeting = RayWorker().greet("cpu", cluster.packages, cluster.folder, list(map(str, probes.values())))
        with pytest.raises(BenchError, match=r"can't read and write the store .*\(No space left on device\)"):
            cluster.check(greeting, probes)
    with pytest.raises(BenchError, match=r"can't be written: No space left on device"), cluster.probes():
        pytest.fail("no room, and nobody said so")
    assert not list((tmp_path / "store" / "partial").glob("*"))


def test_without_ray_it_is_said_how_to_install_it(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(BenchError, match=r"pip install 'erasebench\[ray\]'"):
        Crew(setup, 2, ray=RayRequest())


def test_another_version_of_ray_is_told_with_both(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    ray = pytest.importorskip("ray")
    reason = (
        "Version mismatch: The cluster was started with:\n    Ray: 2.60.0\nThis process was started with:\n  Ray: 3.0"
    )

    def init(**options: Any) -> None:
        raise RuntimeError(reason)

    monkeypatch.setattr(ray, "init", init)
    with pytest.raises(BenchError, match=r"with: Ray: 2\.60\.0 This .*with: Ray: 3\.0 Install the same Ray"):
        Crew(setup, 2, ray=RayRequest())


def test_an_address_at_which_nobody_answers(setup: Setup) -> None:
    pytest.importorskip("ray")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{closed.getsockname()[1]}"
    with pytest.raises(BenchError, match=rf"--ray {address}: nobody answers there"):
        Crew(setup, 2, ray=RayRequest(address))
    for wrong in ("here", "ray://there:10001", "there:"):
        with pytest.raises(BenchError, match="give auto, or HOST:PORT"):
            Crew(setup, 2, ray=RayRequest(wrong))
