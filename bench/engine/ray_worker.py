"""A worker on a Ray cluster: what an actor does. Without Ray, and light until it has looked at where it is."""

from __future__ import annotations

import os
import platform
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .server import ENVIRONMENT
from .source import code_of

if TYPE_CHECKING:
    from .pool import Event
    from .setup import Setup
    from .tasks import Task

SECONDS_BETWEEN_REPORTS = 0.5


class RayWorker:
    """Does one task at a time; `said` and `stop` are answered meanwhile, by a thread of their own."""

    def __init__(self) -> None:
        self._kept: Event | None = None
        self._lock = threading.Lock()

    def greet(self, device: str, packages: Sequence[str], folder: str, probes: Sequence[str]) -> dict[str, Any]:
        """What a driver has to know of this machine before it sends anything: plain values, as the code may differ.

        Args:
            device: "cpu" or "cuda": Ray shows an actor the GPU that it has and no other.
            packages: whose code is compared.
            folder: the driver's working folder, which paths of a plan may be relative to.
            probes: files that the driver wrote; the text of each comes back, and in a file beside it.
        """
        os.environ.update(ENVIRONMENT)
        if device == "cpu":
            os.environ["CUDA_VISIBLE_DEVICES"] = ""  # an actor without a share of a GPU sees all of them
        found: dict[str, Any] = {
            "host": platform.node(),
            "process": os.getpid(),
            "version": version("erasebench"),
            "code": code_of(packages),
            "folder": Path(folder).is_dir(),
            "probes": [_answer(Path(probe)) for probe in probes],
        }
        import torch

        found["gpu"] = torch.cuda.is_available()
        if device == "cpu" or found["gpu"]:
            from ..models.provenance import made_on, provenance

            found |= {"made_on": made_on(device), "provenance": provenance(device)}
        return found

    def begin(self, setup: Setup, folder: str, busy: int) -> dict[str, str | None]:
        """Be ready for tasks of a run, of which `busy` are done at a time; what tells the run's work from others."""
        os.chdir(folder)
        import torch

        from ..models.devices import resolve_precision, switch_off_tf32
        from ..models.provenance import made_on
        from .executor import Executor
        from .work import unfold

        torch.set_num_threads(1)
        switch_off_tf32()
        resolve_precision(setup.precision["generation"], setup.device)  # a device without it says so now
        own = made_on(setup.device)["device"]
        setup = replace(setup, here=None if own == setup.made_on["device"] else own)
        self._busy, self._executor = busy, Executor(setup, unfold(setup))
        return self._executor.work.identity

    def do(self, task: Task, elsewhere: Sequence[str] = ()) -> Event:
        """Do a task and say what became of it; images may have been drawn `elsewhere`, on these devices."""
        from .pool import Event, outcome

        self._executor.setup.elsewhere[:] = elsewhere
        try:
            return outcome(self._executor, task, self._told, self._busy)
        except KeyboardInterrupt:
            return Event("died", task, text="it was stopped")

    def said(self) -> Event | None:
        """How a task went on since this was last asked, after a moment."""
        time.sleep(SECONDS_BETWEEN_REPORTS)
        with self._lock:
            event, self._kept = self._kept, None
        return event

    def stop(self) -> None:
        """Let a task that goes on keep what it has, and end."""
        from ..runs import interrupt

        interrupt.ask()

    def _told(self, event: Event) -> None:
        from ..runs import interrupt

        with self._lock:
            same = self._kept is not None and self._kept.task == event.task
            before = self._kept.amount if same and self._kept is not None else 0
            self._kept = replace(event, amount=event.amount + before)
        interrupt.check()


def _answer(probe: Path) -> str:
    """What a probe's file says, written into one beside it; "" or an error's text where that can't be done."""
    try:
        text = probe.read_text(encoding="utf-8")
        probe.with_name(f"{probe.name}.{platform.node()}.{os.getpid()}").write_text(text, encoding="utf-8")
        return text
    except OSError as error:
        return error.strerror or str(error)
