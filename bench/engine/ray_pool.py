"""Workers on a Ray cluster: actors that keep their model loaded and do one task at a time.

Ray places actors and tells of their deaths. Which task is done where and what is tried again is the scheduler's: Ray's
own retries bind a task to its actor, and wait for that one where another is idle.
"""

from __future__ import annotations

import logging
import platform
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from ..errors import BenchError
from .executor import Executor
from .local import DEATHS_IN_A_ROW, GRACE
from .pool import Event, Handle
from .ray_cluster import Cluster
from .ray_worker import RayWorker
from .tasks import Task

START_SECONDS = 120.0  # in which the first worker has to be there
OTHERS_SECONDS = 30.0  # that the others have after the first, or as long again as that one took
CONTROL = "control"


@dataclass(eq=False)
class _Seat:
    """A worker's place, and what is awaited of the actor that has it."""

    actor: Any
    greeting: Any = None
    ready: Any = None
    result: Any = None
    said: Any = None
    task: Task | None = None
    host: str = ""
    other_device: str = ""

    @property
    def is_idle(self) -> bool:
        return self.greeting is None and self.ready is None and self.task is None

    @property
    def awaited(self) -> list[Any]:
        found = (self.greeting, self.ready, self.said if self.task else None, self.result)
        return [one for one in found if one is not None]


class RayPool:
    """A pool of actors; one that dies is replaced, as soon as the cluster has room for it.

    Attributes:
        size: how many there are.
        places: of every machine that has had one, what it is, by its name.
    """

    def __init__(self, executor: Executor, cluster: Cluster, size: int, alone: bool = False) -> None:
        self.size = size
        self.places: dict[str, dict[str, Any]] = {}
        self._beside = 1 if alone else size
        self._cluster, self._deaths = cluster, 0
        self._setup, self._elsewhere = ray.put(executor.setup), executor.setup.elsewhere
        self._work = executor.work.identity
        self._lonely = time.monotonic()  # since when no worker has been able to do all kinds of tasks
        options = dict(cluster.options, max_restarts=0, max_task_retries=0)
        self._actor = ray.remote(**options, concurrency_groups={CONTROL: 1})(RayWorker)
        self._probing = cluster.probes()
        self._probes: dict[str, Path] = self._probing.__enter__()
        self._seats: list[_Seat] = []
        try:
            self._seats = [self._start(platform.node() if number == 0 else "") for number in range(size)]
            self._wait_for_all()
        except BaseException:
            self.stop()
            raise

    def idle(self) -> list[int]:
        return [number for number, seat in enumerate(self._seats) if seat.is_idle]

    def machine(self, worker: int) -> str:
        return self._seats[worker].host

    def other_device(self, worker: int) -> str:
        return self._seats[worker].other_device

    def send(self, worker: int, task: Task) -> None:
        seat = self._seats[worker]
        seat.task, seat.result = task, seat.actor.do.remote(task, self._elsewhere)
        if seat.said is None:
            seat.said = _ask(seat.actor, "said")

    def wait(self, handle: Handle, seconds: float) -> None:
        self._check_kinds()
        awaited = [one for seat in self._seats for one in seat.awaited]
        if not awaited:
            time.sleep(seconds)
            return
        ray.wait(awaited, num_returns=1, timeout=seconds)
        found = set(ray.wait(awaited, num_returns=len(awaited), timeout=0)[0])
        for seat in self._seats:
            if found & set(seat.awaited):
                self._hear(seat, found, handle)

    def end(self, worker: int) -> None:
        with suppress(RayError, ValueError):
            ray.kill(self._seats[worker].actor)

    def stop(self) -> None:
        busy = [seat for seat in self._seats if seat.task is not None]
        for seat in busy:
            _ask(seat.actor, "stop")
        if busy:
            ray.wait([seat.result for seat in busy], num_returns=len(busy), timeout=GRACE)
        for seat in self._seats:
            with suppress(RayError, ValueError):
                ray.kill(seat.actor)
        self._probing.__exit__(None, None, None)

    def _check_kinds(self) -> None:
        """Whether somebody can train and score, or may come: a machine with the device that this process plans on."""
        now, coming = time.monotonic(), [seat for seat in self._seats if not seat.host]
        if any(seat.host and not seat.other_device for seat in self._seats):
            self._lonely = now
        elif not any(seat.task for seat in self._seats) and (not coming or now - self._lonely > START_SECONDS):
            have = ", ".join(dict.fromkeys(seat.other_device for seat in self._seats if seat.host)) or "none so far"
            raise BenchError(
                f"no worker is on a device like this machine's, on which trainings and scores are planned; they have "
                f"{have}. Start the run on a machine with the workers' kind of device."
            )

    def _start(self, host: str) -> _Seat:
        """A new worker, on a machine of this name where it has room."""
        node = self._cluster.node_of(host) if host else None
        near = "SPREAD" if node is None else NodeAffinitySchedulingStrategy(node, soft=True)
        actor = self._actor.options(scheduling_strategy=near).remote()
        cluster, probes = self._cluster, [str(probe) for probe in self._probes.values()]
        return _Seat(actor, actor.greet.remote(self._device, cluster.packages, cluster.folder, probes))

    @property
    def _device(self) -> str:
        return "cuda" if self._cluster.options["num_gpus"] else "cpu"

    def _hear(self, seat: _Seat, found: set[Any], handle: Handle) -> None:
        """Take in what came of one worker: what it said before it died comes first."""
        try:
            if seat.greeting in found:
                greeting, seat.greeting = ray.get(seat.greeting), None
                self._cluster.check(greeting, self._probes)
                seat.host, seat.other_device = greeting["host"], self._cluster.other_device(greeting)
                self.places[seat.host] = greeting["provenance"]
                seat.ready = seat.actor.begin.remote(self._setup, self._cluster.folder, self._beside)
            if seat.ready in found:
                self._cluster.check_work(seat.host, ray.get(seat.ready), self._work)
                seat.ready = None
            if seat.said in found:
                event, seat.said = ray.get(seat.said), _ask(seat.actor, "said") if seat.result not in found else None
                if event is not None and event.task == seat.task:
                    handle(event)
            if seat.result in found:
                event = ray.get(seat.result)
                seat.task = seat.result = None
                if event.kind != "died":
                    self._deaths = 0
                handle(event)
        except RayTaskError as error:
            raise BenchError(f"a worker on the cluster can't work: {_last_line(error)}") from None
        except RayError as error:
            if "creation task" in str(error):
                raise BenchError(
                    f"a worker can't start: {str(error).strip().splitlines()[-1]}. erasebench has to be installed, in "
                    "the same Python, on all machines of the cluster."
                ) from None
            self._replace(seat, handle, _last_line(error))

    def _replace(self, seat: _Seat, handle: Handle, reason: str) -> None:
        self._deaths += 1
        if self._deaths > DEATHS_IN_A_ROW * self.size:
            raise BenchError(f"{self._deaths} workers in a row ended before they ended a task; the last: {reason}")
        logging.getLogger("erasebench").warning("a worker ended (%s); another takes its place", reason)
        task = seat.task
        with suppress(RayError, ValueError):
            ray.kill(seat.actor)
        self._seats[self._seats.index(seat)] = self._start(seat.host)
        if task is not None:
            handle(Event("died", task, text=f"its worker ended: {reason}"))

    def _wait_for_all(self) -> None:
        """Let all workers say how they are before any work; those that find no room in time may come later."""
        began, end = time.monotonic(), START_SECONDS
        while len(idle := self.idle()) < self.size:
            passed = time.monotonic() - began
            if passed > end and idle:
                return
            if passed > end:
                raise BenchError(
                    f"no worker started within {START_SECONDS:.0f} s: other work may hold the cluster. `ray status` "
                    "says what is free."
                )
            self.wait(lambda event: None, 1.0)
            if not idle and self.idle():
                end = passed + max(passed, OTHERS_SECONDS)


def _ask(actor: Any, method: str) -> Any:
    """Call a method that is answered while a task goes on."""
    return getattr(actor, method).options(concurrency_group=CONTROL).remote()


def _last_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if isinstance(error, RayTaskError) else lines[0] if lines else repr(error)
