"""Where tasks are done: in this process, or in worker processes that stay and keep their model loaded."""

from __future__ import annotations

import os
import platform
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

from ..errors import BenchError, ModelUnavailable
from ..models.cost import peak_memory
from ..storage.store import Busy
from .executor import Executor
from .tasks import Task


@dataclass(frozen=True)
class Event:
    """What became of a task.

    Attributes:
        kind: "progress", "done", "failed", "busy" (another run does it), "died" (its process) or "fatal" (no task can
            go on).
        task: the task.
        amount: of progress, in the task's unit.
        text: a line about it, or what went wrong; of a task that is done, why it has no result, or "".
        trace: an error's traceback; "" for errors that a user can mend.
        number: an operating system's error, or 0.
        worker: which process it was, by machine; "" where that is not known.
        peak: MiB that this process, or its GPU, has held at most.
    """

    kind: Literal["progress", "done", "failed", "busy", "died", "fatal"]
    task: Task
    amount: int = 0
    text: str = ""
    trace: str = ""
    number: int = 0
    worker: str = ""
    peak: float = 0.0


Handle = Callable[[Event], None]


class Pool(Protocol):
    """Processes that do one task each at a time.

    Attributes:
        size: how many there are.
        places: what other machines it works on are, by name.
    """

    size: int

    @property
    def places(self) -> Mapping[str, dict[str, Any]]: ...

    def idle(self) -> list[int]:
        """Those that wait for a task."""

    def machine(self, worker: int) -> str:
        """The name of the machine that one is on."""

    def other_device(self, worker: int) -> str:
        """The name of one's device, where it is another than this process plans on: it draws and looks, no more."""

    def send(self, worker: int, task: Task) -> None:
        """Give an idle one a task."""

    def wait(self, handle: Handle, seconds: float) -> None:
        """Tell what happens, until something has or the time is over."""

    def end(self, worker: int) -> None:
        """Kill one that doesn't come back from its task, which is told to have died."""

    def stop(self) -> None:
        """Let tasks that go on keep what they have, and end."""


class Inline:
    """This process does tasks itself, one after the other."""

    size = 1
    places: Mapping[str, dict[str, Any]] = {}

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._task: Task | None = None

    def idle(self) -> list[int]:
        return [] if self._task else [0]

    def machine(self, worker: int) -> str:
        return platform.node()

    def other_device(self, worker: int) -> str:
        return ""

    def send(self, worker: int, task: Task) -> None:
        self._task = task

    def wait(self, handle: Handle, seconds: float) -> None:
        if self._task is None:
            time.sleep(seconds)
            return
        task, self._task = self._task, None
        handle(outcome(self._executor, task, handle, 1))

    def end(self, worker: int) -> None:
        """Nobody could call this while the only process is at work."""

    def stop(self) -> None:
        self._task = None


def outcome(executor: Executor, task: Task, handle: Handle, workers: int) -> Event:
    """Do a task and say what became of it, and how much memory that took; `handle` is told of progress."""
    event = _outcome(executor, task, handle, workers)
    who = f"{platform.node()}, process {os.getpid()}"
    return replace(event, worker=who, peak=round(peak_memory(executor.setup.device), 1))


def _outcome(executor: Executor, task: Task, handle: Handle, workers: int) -> Event:
    def report(amount: int, text: str) -> None:
        handle(Event("progress", task, amount, text))

    try:
        return Event("done", task, text=executor.do(task, report, workers))
    except Busy:
        return Event("busy", task)
    except ModelUnavailable as error:
        return Event("fatal", task, text=str(error))
    except BenchError as error:
        return Event("failed", task, text=str(error) or repr(error))
    except Exception as error:  # noqa: BLE001  (recorded; the other tasks go on)
        number = (error.errno or 0) if isinstance(error, OSError) else 0
        return Event("failed", task, text=str(error) or repr(error), trace=traceback.format_exc(), number=number)
