"""Ctrl-C and SIGTERM: stop at once, or, where Python swallowed the exception, at the next step."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

SIGNALS = (signal.SIGINT, signal.SIGTERM)
_asked = False


@contextmanager
def stoppable() -> Iterator[None]:
    """Within the block both signals raise KeyboardInterrupt."""
    global _asked
    _asked = False
    before = {number: signal.signal(number, _stop) for number in SIGNALS}
    try:
        yield
    finally:
        _asked = False
        for number, handler in before.items():
            signal.signal(number, handler)


def check() -> None:
    """Raise KeyboardInterrupt if a signal came: one that arrives while an object is deleted is ignored by Python."""
    if _asked:
        raise KeyboardInterrupt


def ask() -> None:
    """Let the next `check` raise."""
    global _asked
    _asked = True


def _stop(*_: object) -> None:
    global _asked
    _asked = True
    raise KeyboardInterrupt
