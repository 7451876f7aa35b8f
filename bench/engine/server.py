"""The server that worker processes are forked from: it imports what they need while the command itself does.

Nothing heavy is imported here. Modules are preloaded, the model never is: loading it starts threads, which no fork
survives.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext

IMPORTS = ["erasebench.engine.worker"]
# One thread each: two processes of two threads on two cores are several times slower. Waiting threads give way.
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_WAIT_POLICY": "PASSIVE",
    "TOKENIZERS_PARALLELISM": "false",
}


def context() -> ForkServerContext:
    """The context that workers are started in; its server runs from here on."""
    found = multiprocessing.get_context("forkserver")
    found.set_forkserver_preload(IMPORTS)
    with _environment(ENVIRONMENT):
        forkserver.ensure_running()
    return found


@contextmanager
def _environment(changes: dict[str, str]) -> Iterator[None]:
    """Variables that a process started inside the block inherits, and all that it forks."""
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
