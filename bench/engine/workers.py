"""How many processes work at the same time."""

from __future__ import annotations

import os
from pathlib import Path

import torch

from ..models.devices import is_gpu
from .setup import Setup

WORKER_BYTES, SPARE_BYTES = 2**30, 2 * 2**30  # of a worker without its model, and what is left to others
COPIES = 4  # of a model's weights in a worker on the CPU: in float32, a frozen copy, gradients, Adam's averages of some


def usual_workers(setup: Setup) -> int:
    """A GPU each, or a core each as far as memory goes; one where a single GPU was named."""
    if is_gpu(setup.device):
        return torch.cuda.device_count() if setup.device == "cuda" else 1
    each = WORKER_BYTES + COPIES * setup.source.weight_bytes
    return max(1, min(_cores(), (_free_memory() - SPARE_BYTES) // each))


def _cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _free_memory() -> int:
    """Bytes that are free on the machine, or within the limit that a container sets; unlimited where none is told."""
    free = []
    try:
        lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text(encoding="utf-8").splitlines())
        free.append(int(lines["MemAvailable"].split()[0]) * 1024)
    except (OSError, KeyError, ValueError):
        pass
    try:
        limit, used = (Path("/sys/fs/cgroup", f"memory.{name}").read_text().strip() for name in ("max", "current"))
        free.append(int(limit) - int(used))
    except (OSError, ValueError):  # no limit, or none that can be read
        pass
    return min(free, default=2**63)
