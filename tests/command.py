"""The installed command, in a process of its own and offline."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

BENCH = shutil.which("bench", path=str(Path(sys.executable).parent)) or "bench"
ENVIRONMENT = {**os.environ, "HF_HUB_OFFLINE": "1", "COLUMNS": "200"}


def bench(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([BENCH, *arguments], capture_output=True, text=True, env=ENVIRONMENT, cwd=cwd, timeout=600)
