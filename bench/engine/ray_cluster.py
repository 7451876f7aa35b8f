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

CONNECT_SECONDS = 5.0  # until nobody answers at an address
OWN_START = "Start one with `ray start --head`, and `ray start --address=HOST:PORT` on the other machines."

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
        if not 0 < request.share <= 1:
            raise BenchError(
                f"--gpus-per-task {request.share}: a worker has one GPU or a share of one, over 0 up to 1."
            )
        gpu = is_gpu(setup.device)
        if gpu and setup.device != "cuda":
            raise BenchError(f"--device {setup.device} names a GPU of this machine. With --ray, give --device cuda.")
        weights = setup.source.weight_bytes * (1 if gpu else COPIES)
        self.options: dict[str, float] = {"num_cpus": 1, "memory": WORKER_BYTES + weights}
        self.options["num_gpus"] = request.share if gpu else 0
        self.packages = packages_of(setup.plan, () if setup.attacks is None else setup.attacks.names)
        self.folder = str(Path.cwd())
        self._code, self._address = code_of(self.packages), request.address
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
    def probe(self) -> Iterator[Path]:
        """A file in the store that workers read, and answer beside."""
        folder = self._setup.store.root / "partial" / f"probe-{uuid.uuid4().hex}"
        file = folder / "probe"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            file.write_text(folder.name, encoding="utf-8")
        except OSError as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise BenchError(
                f"the store {self._setup.store.root} can't be written: {error.strerror or error}. Make room, or give "
                "--store another folder that all machines share."
            ) from None
        try:
            yield file
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def check(self, greeting: Mapping[str, Any], probe: Path) -> None:
        """Whether a worker's machine can work on the run with the same results.

        Raises:
            BenchError: its code or hardware is another, or it doesn't see the store or the working folder.
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
        answer = probe.with_name(f"{probe.name}.{host}.{greeting['process']}")
        if greeting["store"] != probe.parent.name or not _says(answer, probe.parent.name):
            raise BenchError(
                f"{host} can't read and write the store {self._setup.store.root} ({greeting['store'] or 'empty'}). "
                "Give --store a folder that all machines share under the same path."
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
        reason = str(error).strip().split("\n")[0]
        advice = OWN_TOKEN if REFUSED in reason else OWN_START
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
