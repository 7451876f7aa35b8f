"""Processes of a cluster that tests start: which there are, and waiting for what they do."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path


def command_of(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def members(session: int) -> list[int]:
    """The living processes of a session."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            found.append(int(stat.parent.name))
    return found


def wait_for(what: str, ready: object, seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not ready():  # type: ignore[operator]
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.02)


def end(leader: subprocess.Popen[bytes]) -> None:
    """End a session, whatever its processes are at."""
    leader.send_signal(signal.SIGTERM)
    leader.wait(60)
    for pid in members(leader.pid):
        os.kill(pid, signal.SIGKILL)
    wait_for("the cluster to end", lambda: not members(leader.pid), 30)
