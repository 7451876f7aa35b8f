"""A Ray cluster that this process is attached to: what it has room for, and whether its machines can work on a run."""

from __future__ import annotations

import logging
import math
import os
import shutil
import signal
import socket
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ..errors import BenchError
from ..models.devices import is_gpu
from .ray_request import RayRequest
from .setup import Setup
from .source import code_of, packages_of
from .workers import COPIES, WORKER_BYTES

LEAST_SHARE = 0.0001  # of a GPU, that Ray counts
CONNECT_SECONDS = 5.0  # until nobody answers at an address
OWN_START = "Start one with `ray start --head`, and `ray start --address=HOST:PORT` on the other machines."

OTHER_RAY = "Version mismatch"  # as Ray says where it is of another version, or of another Python
OWN_INSTALL = "Install the same Ray and Python on all machines."
REFUSED = "Failed to connect"  # as Ray says where somebody answers, and lets nobody in
OWN_TOKEN = (
    "If it lets in only who has its token, the same has to be here: RAY_AUTH_MODE=token, and the token in "
    "~/.ray/auth_token or in RAY_AUTH_TOKEN."
)


class Cluster:
    """What a run asks of a cluster, checked.

    Attributes:
        options: of an actor: what it takes of a machine.
    """

    def __init__(self, setup: Setup, request: RayRequest) -> None:
        self._setup = setup
        if not LEAST_SHARE <= request.share <= 1:
            raise BenchError(
                f"--gpus-per-task {request.share}: a worker has one GPU or a share of one, {LEAST_SHARE} to 1."
            )
        gpu = is_gpu(setup.device)
        if not gpu and request.share != 1:
            raise BenchError(
                f"--gpus-per-task {request.share:g}: with --device {setup.device} no worker has a GPU. Leave it out."
            )
        if gpu and setup.device != "cuda":
            raise BenchError(f"--device {setup.device} names a GPU of this machine. With --ray, give --device cuda.")
        weights = setup.source.weight_bytes * (1 if gpu else COPIES)
        self.options: dict[str, float] = {"num_cpus": 1, "memory": WORKER_BYTES + weights}
        self.options["num_gpus"] = request.share if gpu else 0
        self.packages = packages_of(setup.plan, () if setup.attacks is None else setup.attacks.names)
        self.folder = str(Path.cwd())
        self._code, self._address = code_of(self.packages), request.address
        self._sign = uuid.uuid4().hex  # what this process writes, for workers to read
        _attach(request.address)

    def room_for(self, wanted: int | None) -> int:
        """As many workers as are wanted, or as the cluster's machines take together.

        Raises:
            BenchError: they take fewer, or none.
        """
        import ray

        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        names = {"num_cpus": "CPU", "memory": "memory", "num_gpus": "GPU"}
        needs = {names[option]: amount for option, amount in self.options.items() if amount}
        room = sum(
            min(math.floor(node.get(name, 0) / amount + 1e-9) for name, amount in needs.items()) for node in nodes
        )
        if room == 0 or (wanted is not None and wanted > room):
            has = {name: sum(node.get(name, 0) for node in nodes) for name in needs}
            if needs.get("GPU") and not has["GPU"]:
                raise BenchError(
                    f"--ray {self._address}: the cluster has no GPU, and --device cuda asks for one. Add a machine "
                    "with one, or give --device cpu."
                )
            asked = "one worker" if wanted is None else f"--workers {wanted}"
            raise BenchError(
                f"--ray {self._address}: {asked}: the cluster has room for {room}. It has {_told(has)} on {len(nodes)} "
                f"machines, and a worker takes {_told(needs)} of one. Give --workers {max(room, 1)}, or add machines."
            )
        return room if wanted is None else wanted

    @contextmanager
    def probes(self) -> Iterator[dict[str, Path]]:
        """Files in the store and in the run's folder that workers read, and answer beside; by what they stand in."""
        store, run = self._setup.store.root.absolute(), self._setup.folder.root.absolute()
        folders = {
            f"the store {store}, --store": store / "partial" / f"probe-{self._sign}",
            f"the run's folder {run}, --out": run / ".probe",
        }
        try:
            for what, folder in folders.items():
                try:
                    folder.mkdir(parents=True, exist_ok=True)
                    (folder / "probe").write_text(self._sign, encoding="utf-8")
                except OSError as error:
                    raise BenchError(
                        f"{what}, can't be written: {error.strerror or error}. Make room, or give another folder that "
                        "all machines share."
                    ) from None
            yield {what: folder / "probe" for what, folder in folders.items()}
        finally:
            for folder in folders.values():
                shutil.rmtree(folder, ignore_errors=True)

    def check(self, greeting: Mapping[str, Any], probes: Mapping[str, Path]) -> None:
        """Whether a worker's machine can work on the run with the same results.

        Raises:
            BenchError: its code or hardware is another, or it doesn't see the store, the run's or the working folder.
        """
        host, mine = greeting["host"], version("erasebench")
        if greeting["version"] != mine:
            raise BenchError(
                f"{host} has erasebench {greeting['version']}, this machine {mine}. Install the same on all."
            )
        different = [name for name in self.packages if greeting["code"].get(name) != self._code[name]]
        if different:
            raise BenchError(
                f"{host} has other source files of {', '.join(different)} than this machine, though of the same "
                "version. Install the same on all, or use one environment on a shared folder."
            )
        for (what, probe), said in zip(probes.items(), greeting["probes"], strict=True):
            answer = probe.with_name(f"{probe.name}.{host}.{greeting['process']}")
            if said != self._sign or not _says(answer, self._sign):
                raise BenchError(
                    f"{host} can't read and write {what} ({said or 'empty'}). Give a folder that all machines share "
                    "under the same path."
                )
        if not greeting["folder"]:
            raise BenchError(f"{host} has no folder {self.folder}. Start the run in a folder that all machines share.")
        if is_gpu(self._setup.device) and not greeting["gpu"]:
            raise BenchError(f"{host}: PyTorch sees no CUDA device there, though Ray counts GPUs. Check its driver.")
        here, there = self._setup.made_on, greeting["made_on"]
        parts = [f"{name} {there[name]}, not {here[name]}" for name in here if here[name] != there[name]]
        if parts and [name for name in here if here[name] != there[name]] != ["device"]:
            raise BenchError(
                f"{host} would give other last digits than this machine: {'; '.join(parts)}. Install the same on all."
            )

    def check_work(self, host: str, theirs: Mapping[str, str | None], mine: Mapping[str, str | None]) -> None:
        """Whether a worker has made the same images and scores of the plan, each given as its `Work.identity`.

        Raises:
            BenchError: it has other packages that score, or other files under the paths that the plan names.
        """
        parts = [f"{name} {theirs.get(name) or 'missing'}, not {mine[name]}" for name in mine]
        parts = [part for name, part in zip(mine, parts, strict=True) if theirs.get(name) != mine[name]]
        if parts:
            raise BenchError(
                f"{host} would score other images than this machine plans: {'; '.join(parts)}. Install the same "
                "packages on all, and give files and weights that all find under the same path (HF_HOME for those of "
                "the hub)."
            )

    def other_device(self, greeting: Mapping[str, Any]) -> str:
        """The name of a machine's device where it is another than this one's, noted in the set-up; "" for the same."""
        device = greeting["made_on"]["device"]
        if device == self._setup.made_on["device"]:
            return ""
        if device not in self._setup.elsewhere:
            self._setup.elsewhere.append(device)
            logging.getLogger("erasebench").warning(
                "%s has another device (%s) than this machine (%s), with other last digits: it draws images and looks "
                "at them, and the tables say which",
                greeting["host"],
                device,
                self._setup.made_on["device"],
            )
        return str(device)

    def node_of(self, host: str) -> str | None:
        """Ray's name of a machine; None where it has none of this name."""
        import ray

        nodes = {node["NodeManagerHostname"]: node["NodeID"] for node in ray.nodes() if node["Alive"]}
        return nodes.get(host)

    def leave(self) -> None:
        """End the attachment, and all actors with it."""
        import ray

        ray.shutdown()


def _attach(address: str) -> None:
    """Be a driver of a running cluster.

    Raises:
        BenchError: Ray isn't installed, nobody answers at the address, or the cluster refuses.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError:
        raise BenchError("--ray needs Ray, which is not installed: pip install 'erasebench[ray]'") from None
    if address != "auto":
        _check_answers(address)
    before = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(address=address, log_to_driver=False, configure_logging=False, namespace=f"erasebench-{uuid.uuid4()}")
    except (ConnectionError, RuntimeError, ValueError, AssertionError, ray.exceptions.RayError) as error:
        lines = str(error).strip().split("\n")
        reason = " ".join(map(str.strip, lines)) if OTHER_RAY in lines[0] else lines[0]
        advice = OWN_TOKEN if REFUSED in reason else OWN_INSTALL if OTHER_RAY in reason else OWN_START
        raise BenchError(f"--ray {address}: no cluster to work on here: {reason} {advice}") from None
    signal.signal(signal.SIGTERM, before)  # Ray's own would end this process without a record


def _check_answers(address: str) -> None:
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or "/" in address:
        raise BenchError(f"--ray {address}: give auto, or HOST:PORT of a cluster's head, such as 10.0.0.1:6379.")
    try:
        socket.create_connection((host, int(port)), CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise BenchError(f"--ray {address}: nobody answers there ({error}). {OWN_START}") from None


def _says(file: Path, text: str) -> bool:
    """Whether a file that another machine wrote is here; listing its folder makes NFS look again."""
    try:
        return file in set(file.parent.iterdir()) and file.read_text(encoding="utf-8") == text
    except OSError:
        return False


def _told(amounts: Mapping[str, float]) -> str:
    return ", ".join(
        f"{amount / 2**30:.1f} GiB of memory" if name == "memory" else f"{amount:g} {name}"
        for name, amount in amounts.items()
    )
