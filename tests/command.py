"""The installed command, offline: in a process of its own, or in this one."""

import contextlib
import io
import os
import shutil
import subprocess
import sys
from pathlib import Path
from unittest.mock import patch

from erasebench.cli.app import main

BENCH = shutil.which("bench", path=str(Path(sys.executable).parent)) or "bench"
ENVIRONMENT = {**os.environ, "HF_HUB_OFFLINE": "1", "COLUMNS": "200"}


def bench(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([BENCH, *arguments], capture_output=True, text=True, env=ENVIRONMENT, cwd=cwd, timeout=600)


def bench_here(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """The same in this process, for what needs none of its own: importing torch takes longer than most commands."""
    stdout, stderr = io.StringIO(), io.StringIO()
    with (
        patch.object(sys, "argv", ["bench", *arguments]),
        patch.dict(os.environ, {"COLUMNS": "200"}),
        contextlib.chdir(cwd or Path.cwd()),
        contextlib.redirect_stdout(stdout),
        contextlib.redirect_stderr(stderr),
    ):
        try:
            main()
            status = 0
        except SystemExit as end:
            status = int(end.code or 0)
    return subprocess.CompletedProcess(["bench", *arguments], status, stdout.getvalue(), stderr.getvalue())
