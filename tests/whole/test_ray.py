"""The same run on a Ray cluster: the same bytes with any number of workers, whatever is killed."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import pytest
from clusters import command_of, end, members, wait_for

from erasebench.develop.stress import differences
from erasebench.engine.attack_run import attack_run
from erasebench.engine.run import run
from erasebench.runs.attacks import AttackRequest, read_attacks
from erasebench.runs.folder import RunFolder
from erasebench.runs.plan import Generation, Plan
from erasebench.runs.record import read_run

pytest.importorskip("ray", reason="Ray is not installed: pip install 'erasebench[ray]'")
pytestmark = [pytest.mark.ray, pytest.mark.slow]

BIN = Path(sys.executable).parent
PLAN = Plan(
    methods=["esd", "uce"],
    metrics=["concept_rate", "ssim"],
    concept="garbage truck",
    images=4,
    train_steps=2,
    generation=Generation(steps=2, batch_size=2),
)
ATTACKS = AttackRequest(names=("seed-search",), rows=("uce",), targets=1, budget=2)


@dataclass(frozen=True)
class Ray:
    """A cluster of one machine with room for four workers."""

    address: str
    environment: dict[str, str]
    session: int

    def start(self, place: Path, name: str = "run") -> subprocess.Popen[bytes]:
        """`bench run` on it, in a process group of its own."""
        place.mkdir(exist_ok=True)
        (place / "plan.yaml").write_text(PLAN.to_yaml())
        command = [shutil.which("bench", path=str(BIN)) or "bench", "run", str(place / "plan.yaml")]
        command += ["--out", str(place / name), "--device", "cpu", "--ray", self.address, "--workers", "2"]
        with (place / f"{name}.log").open("wb") as log:
            return subprocess.Popen(command, stderr=log, stdout=log, start_new_session=True, env=self.environment)

    @property
    def workers(self) -> list[int]:
        """Its actors' processes."""
        return [pid for pid in members(self.session) if b"ray::RayWorker" in command_of(pid)]


@pytest.fixture(scope="module")
def ray() -> Iterator[Ray]:
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp") as folder:  # paths of sockets have to be short
        yield from cluster(Path(folder))


def cluster(place: Path) -> Iterator[Ray]:
    """A head in a session of its own, with a token that nobody else has, until the tests are over."""
    with socket.socket() as free:
        free.bind(("", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": os.urandom(32).hex()}
    environment["RAY_worker_niceness"] = "0"
    command = [str(BIN / "ray"), "start", "--head", "--block", f"--port={port}", "--num-cpus=4", "--num-gpus=0"]
    command += ["--include-dashboard=false", "--disable-usage-stats", "--object-store-memory=80000000"]
    with (place / "log").open("wb") as log:
        head = subprocess.Popen(
            [*command, f"--temp-dir={place}"], stdout=log, stderr=log, start_new_session=True, env=environment
        )
    try:
        wait_for("the cluster", lambda: b"--block" in (place / "log").read_bytes() or head.poll() is not None)
        assert head.poll() is None, (place / "log").read_text()
        yield Ray(f"127.0.0.1:{port}", environment, head.pid)
    finally:
        end(head)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("alone") / "run"
    assert run(PLAN, RunFolder(folder), "cpu") == ()
    return folder


def entries(place: Path) -> int:
    return sum("entry.json" in names for _, _, names in os.walk(place / "store"))  # bears that folders move


def test_a_run_ends_with_the_same_bytes_though_a_worker_and_the_driver_are_killed(
    ray: Ray, alone: Path, tmp_path: Path
) -> None:
    running, log = ray.start(tmp_path), tmp_path / "run.log"
    wait_for("the first result", lambda: entries(tmp_path) > 0 or running.poll() is not None)
    os.kill(ray.workers[0], signal.SIGKILL)
    wait_for("another worker", lambda: b"another takes its place" in log.read_bytes() or running.poll() is not None)
    before = entries(tmp_path)
    wait_for("another result", lambda: entries(tmp_path) > before or running.poll() is not None)
    os.kill(running.pid, signal.SIGKILL)
    assert running.wait(60) == -signal.SIGKILL, log.read_text()
    wait_for("the workers to end", lambda: not ray.workers, 30)
    kept = {file: file.stat().st_mtime_ns for file in (tmp_path / "store").rglob("entry.json")}
    assert ray.start(tmp_path).wait(300) == 0, log.read_text()
    assert "2 workers" in log.read_text()
    assert differences(alone, tmp_path / "run") == []
    assert kept == {file: file.stat().st_mtime_ns for file in kept}  # what was finished is not made again
    *_, session = read_run(RunFolder(tmp_path / "run"))[1].sessions
    assert session.workers
    assert all(peak > 0 for peak in session.workers.values())
    assert [made["packages"]["torch"] for made in session.nodes.values()] == [version("torch")]


WORK = """
import sys
from pathlib import Path
from whole.test_ray import ATTACKS, PLAN
from erasebench.engine.attack_run import attack_run
from erasebench.engine.ray_request import RayRequest
from erasebench.engine.run import run
from erasebench.runs.folder import RunFolder
ray = RayRequest(sys.argv[2])
folder, begun = RunFolder(Path(sys.argv[1]) / "there" / "run"), []
assert run(PLAN, folder, "cpu", begun.append, 4, ray=ray) == ()
assert begun == [4]
attack_run(folder, ATTACKS, "cpu", workers=1, ray=ray)
"""


def test_the_number_of_workers_changes_no_byte(ray: Ray, alone: Path, tmp_path: Path) -> None:
    """Nor does where they are; two are above, and local ones in test_workers.py. The same comes of attacks."""
    command = [sys.executable, "-c", WORK, str(tmp_path), ray.address]
    paths = {"PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run(command, env=ray.environment | paths, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert run(PLAN, RunFolder(tmp_path / "here" / "run"), "cpu", workers=4) == ()
    for folder in (tmp_path / "there" / "run", tmp_path / "here" / "run"):
        assert differences(alone, folder) == []
    there = read_attacks(RunFolder(tmp_path / "there" / "run"))
    here = attack_run(RunFolder(alone), ATTACKS, "cpu")
    found = [{(cell.row, cell.attack): cell.targets for cell in made.cells} for made in (there, here) if made]
    assert len(found[0]) == 3 * 3
    assert found[0] == found[1]


@pytest.mark.parametrize("mode", ["token", "disabled"])
def test_without_its_token_a_cluster_is_none(mode: str, ray: Ray, tmp_path: Path) -> None:
    code = f"from erasebench.engine.ray_cluster import _attach; _attach({ray.address!r})"
    environment = {name: value for name, value in ray.environment.items() if name != "RAY_AUTH_TOKEN"}
    environment |= {"RAY_AUTH_MODE": mode, "HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120)
    assert "BenchError" in done.stderr.splitlines()[-1], done.stderr
    assert "token" in done.stderr.splitlines()[-1]
