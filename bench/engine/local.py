"""Worker processes on this machine: forked from a server that has imported everything, so that each starts at once."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from ..errors import BenchError
from .pool import Event, Handle
from .server import context
from .setup import Setup
from .tasks import Task

STOP = "stop"
DEATHS_IN_A_ROW = 5  # for each worker, until none is started any more
GRACE, PATIENCE = 30.0, 5.0  # seconds that workers have to stop, when asked and when told to


class Local:
    """A pool of worker processes; one that dies is replaced."""

    places: Mapping[str, dict[str, Any]] = {}

    def __init__(self, setup: Setup, size: int, alone: bool = False) -> None:
        self.size = size
        self._beside = 1 if alone else size  # workers that are busy while one trains
        self._setup = setup
        self._context = context()
        self._tasks: dict[int, Task] = {}
        self._deaths = 0  # since a worker last ended a task
        self._workers = [self._start(number) for number in range(size)]

    def idle(self) -> list[int]:
        return [worker for worker in range(self.size) if worker not in self._tasks]

    def machine(self, worker: int) -> str:
        return platform.node()

    def other_device(self, worker: int) -> str:
        return ""

    def send(self, worker: int, task: Task) -> None:
        self._tasks[worker] = task
        with suppress(BrokenPipeError, ConnectionResetError):  # it died: `wait` finds out
            self._workers[worker][1].send(task)

    def wait(self, handle: Handle, seconds: float) -> None:
        found = wait([thing for process, pipe in self._workers for thing in (pipe, process.sentinel)], seconds)
        for worker, (process, pipe) in enumerate(self._workers):
            if pipe in found:  # what a worker said before it died comes first
                try:
                    event = pipe.recv()
                except (EOFError, ConnectionResetError):
                    self._replace(worker, handle)
                    continue
                if event.kind != "progress":
                    self._tasks.pop(worker, None)
                    self._deaths = 0
                handle(event)
            elif process.sentinel in found:
                self._replace(worker, handle)

    def end(self, worker: int) -> None:
        self._workers[worker][0].kill()

    def stop(self) -> None:
        for _, pipe in self._workers:
            with suppress(OSError):
                pipe.send(STOP)
        for process, _ in self._workers:
            process.join(GRACE if self._tasks else PATIENCE)
            for end in (process.terminate, process.kill):
                if process.is_alive():
                    end()
                    process.join(PATIENCE)
        for _, pipe in self._workers:
            pipe.close()

    def _start(self, number: int) -> tuple[BaseProcess, Connection]:
        from .worker import serve

        mine, its = self._context.Pipe()
        process = self._context.Process(
            target=serve, args=(its, self._setup, number, self._beside), name="erasebench worker"
        )
        process.start()
        its.close()
        return process, mine

    def _replace(self, worker: int, handle: Handle) -> None:
        process, pipe = self._workers[worker]
        process.join()
        pipe.close()
        self._deaths += 1
        if self._deaths > DEATHS_IN_A_ROW * self.size:
            raise BenchError(
                f"{self._deaths} workers in a row ended before they ended a task; of the last, "
                f"{_how(process.exitcode)}. --workers 1 works without them, and shows what is wrong."
            )
        self._workers[worker] = self._start(worker)
        task = self._tasks.pop(worker, None)
        if task is not None:
            handle(Event("died", task, text=_how(process.exitcode)))


def _how(code: int | None) -> str:
    """What an exit status means."""
    if code is not None and code < 0:
        return f"its process was killed by signal {-code}" + (" (out of memory?)" if code == -9 else "")
    return f"its process ended with status {code}"
