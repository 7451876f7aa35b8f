"""A worker process: does the tasks that it is sent until it is told to stop, or its parent is gone."""

from __future__ import annotations

import faulthandler
import multiprocessing
import os
import queue
import signal
import threading
import time
from dataclasses import replace
from multiprocessing.connection import Connection

import diffusers  # noqa: F401  (imported here so that the server which workers are forked from has it already)
import torch
import transformers  # noqa: F401

from ..models.devices import switch_off_tf32
from ..models.text_to_image import TextToImage  # noqa: F401
from ..runs import interrupt
from .executor import Executor
from .pool import Event, outcome
from .setup import Setup
from .tasks import Task
from .work import unfold

STOP = "stop"
SECONDS_BETWEEN_REPORTS = 0.2


def serve(connection: Connection, setup: Setup, number: int, busy: int) -> None:
    """Send an event for each task that comes, with a thread, or a GPU, of its own; `busy` workers train at a time."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes of a terminal: the parent decides
    signal.signal(signal.SIGTERM, lambda *_: interrupt.ask())
    faulthandler.register(signal.SIGUSR1)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(1)
    switch_off_tf32()
    if setup.device == "cuda":
        torch.cuda.set_device(number % torch.cuda.device_count())
    tasks: queue.SimpleQueue[Task | None] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(connection, tasks), daemon=True).start()
    executor = Executor(setup, unfold(setup))
    try:
        while (task := tasks.get()) is not None:
            reporter = _Reporter(connection)
            event = outcome(executor, task, reporter.told, busy)
            reporter.flush()
            connection.send(event)
    except KeyboardInterrupt:
        return


class _Reporter:
    """Sends progress now and then, and stops a task when that is asked for."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._kept: Event | None = None
        self._sent = time.monotonic()

    def told(self, event: Event) -> None:
        before = 0 if self._kept is None else self._kept.amount
        self._kept = replace(event, amount=event.amount + before)
        if time.monotonic() - self._sent > SECONDS_BETWEEN_REPORTS:
            self.flush()
        interrupt.check()

    def flush(self) -> None:
        if self._kept is not None:
            self._connection.send(self._kept)
        self._kept, self._sent = None, time.monotonic()


def _receive(connection: Connection, tasks: queue.SimpleQueue[Task | None]) -> None:
    """Take tasks as they come, so that a word to stop is heard in the middle of one."""
    while True:
        try:
            message = connection.recv()
        except (EOFError, OSError):
            os._exit(1)
        if message == STOP:
            interrupt.ask()
            tasks.put(None)
            return
        tasks.put(message)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
