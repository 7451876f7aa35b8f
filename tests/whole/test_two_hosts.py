"""A run on two hosts: network namespaces with names of their own, joined by a cable, that share a folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from clusters import end, wait_for

from erasebench.develop.stress import differences
from erasebench.engine.run import run
from erasebench.runs.folder import RunFolder
from erasebench.runs.plan import Generation, Plan
from erasebench.runs.record import read_run
from erasebench.storage.files import read_json

pytest.importorskip("ray", reason="Ray is not installed: pip install 'erasebench[ray]'")
pytestmark = [pytest.mark.ray, pytest.mark.slow]

BIN = Path(sys.executable).parent
HEAD, NODE = "10.213.77.1", "10.213.77.2"
PLAN = Plan(
    methods=["uce"], metrics=["ssim"], concept="garbage truck", images=2, generation=Generation(steps=2, batch_size=2)
)
RAY = ["--num-cpus=1", "--num-gpus=0", "--disable-usage-stats", "--object-store-memory=80000000", "--block"]


@pytest.fixture(scope="module")
def hosts() -> Iterator[tuple[str, str]]:
    """Two namespaces' names; where they can't be made, the test says why it is skipped."""
    if shutil.which("ip") is None or shutil.which("unshare") is None:
        pytest.skip("no `ip` or `unshare` here: iproute2 and util-linux have them")
    own = uuid.uuid4().hex[:6]
    names = f"eb{own}a", f"eb{own}b"
    commands = [f"netns add {name}" for name in names]
    commands += [f"link add {names[0]}v type veth peer name {names[1]}v"]
    for name, address in zip(names, (HEAD, NODE), strict=True):
        commands += [f"link set {name}v netns {name}", f"-n {name} addr add {address}/24 dev {name}v"]
        commands += [f"-n {name} link set {device} up" for device in ("lo", f"{name}v")]
    try:
        for command in commands:
            done = subprocess.run(["ip", *command.split()], capture_output=True, text=True)
            if done.returncode:
                pytest.skip(f"`ip {command}`: {done.stderr.strip()}")
        yield names
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], capture_output=True)


def start(host: str, command: list[str], log: Path, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    """A command on a host, in a session of its own."""
    inside = ["ip", "netns", "exec", host, "unshare", "-u", "sh", "-c", f'hostname {host}; exec "$@"', "sh", *command]
    with log.open("wb") as file:
        return subprocess.Popen(inside, stdout=file, stderr=file, start_new_session=True, env=environment)


def test_both_hosts_work_and_nothing_differs(hosts: tuple[str, str], tmp_path: Path) -> None:
    """All workers are there before any work, and at first there are two tasks, a training and the original's images."""
    assert run(PLAN, RunFolder(tmp_path / "alone" / "run"), "cpu") == ()
    (tmp_path / "plan.yaml").write_text(PLAN.to_yaml())
    environment = {**os.environ, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": os.urandom(32).hex()}
    environment["RAY_worker_niceness"] = "0"
    begun: list[subprocess.Popen[bytes]] = []
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp") as place:  # paths of sockets have to be short
        ray = [str(BIN / "ray"), "start"]
        head = [*ray, "--head", f"--node-ip-address={HEAD}", "--port=6379", "--include-dashboard=false"]
        node = [*ray, f"--address={HEAD}:6379", f"--node-ip-address={NODE}"]
        try:
            for host, command in zip(hosts, ([*head, f"--temp-dir={place}"], node), strict=True):
                log = tmp_path / f"{host}.log"
                begun.append(start(host, [*command, *RAY], log, environment))
                wait_for(host, lambda: b"--block" in log.read_bytes() or begun[-1].poll() is not None)  # noqa: B023
                assert begun[-1].poll() is None, log.read_text()
            bench = [shutil.which("bench", path=str(BIN)) or "bench", "run", str(tmp_path / "plan.yaml")]
            bench += ["--device", "cpu", "--out", str(tmp_path / "run"), "--ray", f"{HEAD}:6379", "--workers", "2"]
            driver = start(hosts[0], bench, tmp_path / "log", environment)
            assert driver.wait(300) == 0, (tmp_path / "log").read_text()
        finally:
            for process in reversed(begun):
                end(process)
    assert differences(tmp_path / "alone" / "run", tmp_path / "run") == []
    *_, session = read_run(RunFolder(tmp_path / "run"))[1].sessions
    assert set(session.nodes) == set(hosts)
    assert {worker.partition(",")[0] for worker in session.workers} == set(hosts)
    made = [read_json(file) or {} for file in (tmp_path / "store").rglob("entry.json")]
    assert {entry["host"] for entry in made if entry["kind"] in ("training", "images")} == set(hosts)
