"""The processor and the GPUs, as the operating system tells them: without torch, in no time."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path

from ..errors import BenchError

FAMILY = ("cpu family", "model", "stepping")
OF_A_GPU = ("dev/nvidia*", "dev/nvhost*", "dev/nvgpu*", "dev/dxg", "dev/kfd", "proc/driver/nvidia")  # or its driver
DRIVER = "proc/driver/nvidia"
CHOICE = ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER")  # variables that decide which GPU is the first


def check_device(wanted: str) -> str:
    """A device's name, where it is one.

    Raises:
        BenchError: it is none of auto, cpu, cuda and cuda:N.
    """
    if wanted not in ("auto", "cpu", "cuda") and not re.fullmatch(r"cuda:\d{1,3}", wanted):
        raise BenchError(f"--device is auto, cpu, cuda or cuda:N with a GPU's number, not {wanted!r}.")
    return wanted


def processor() -> str:
    """The CPU's name, which Linux alone tells in a file."""
    facts = _cpu_facts()
    if not facts:
        return platform.processor() or platform.machine()
    parts = [facts.get("model name", platform.machine()), *(f"{k} {facts[k]}" for k in FAMILY if k in facts)]
    return ", ".join(parts)


def hardware(wanted: str, root: Path = Path("/")) -> str | None:
    """What a device's results depend on, in words; None where only torch can tell what the device is.

    Args:
        wanted: "auto", "cpu", "cuda" or "cuda:N".
        root: of the file system.
    """
    unknown = platform.system() not in ("Linux", "Darwin")
    gpu = unknown or any(found for pattern in OF_A_GPU for found in root.glob(pattern))
    if wanted == "cpu" or (wanted == "auto" and not gpu):
        return f"{processor()}: {_cpu_facts(root).get('flags', '')}"
    try:
        files = [root / DRIVER / "version", *sorted((root / DRIVER / "gpus").glob("*/information"))]
        told = [file.read_text(encoding="utf-8") for file in files]
    except OSError:
        return None
    if len(told) < 2:
        return None
    chosen = [f"{name}={os.environ.get(name)}" for name in CHOICE]
    return "\n".join(["cuda" if wanted == "auto" else wanted, *chosen, *told])


def _cpu_facts(root: Path = Path("/")) -> dict[str, str]:
    """What Linux says of the last of its processors; nothing elsewhere."""
    try:
        lines = (root / "proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    facts = (line.split(":", 1) for line in lines if ":" in line)
    return {key.strip(): value.strip() for key, value in facts}
