"""Where results came from: code, packages, machine, and the flags that decide whether they repeat."""

from __future__ import annotations

import platform
import subprocess
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from .hardware import processor

PACKAGES = (
    "erasebench",
    "torch",
    "diffusers",
    "transformers",
    "open_clip_torch",
    "clean-fid",
    "torchmetrics",
    "nudenet",
    "onnxruntime",
    "scikit-image",
    "numpy",
    "scipy",
    "pillow",
)


def provenance(device: str) -> dict[str, Any]:
    """Versions and revisions as a JSON object."""
    return {
        "packages": packages(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "device": _device_name(device),
        "driver": _driver(device),
        "determinism": _determinism(),
        "git": _git(),
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
    }


def packages() -> dict[str, str | None]:
    """Versions of the packages that results depend on; None for one that is not installed."""
    return {name: _version(name) for name in PACKAGES}


@cache
def made_on(device: str) -> dict[str, str | None]:
    """What decides about the last digits of what is trained and drawn: the libraries and the device's name."""
    return {name: _version(name) for name in ("torch", "diffusers", "transformers")} | {"device": _device_name(device)}


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _device_name(device: str) -> str:
    import torch

    from .devices import is_gpu

    return torch.cuda.get_device_name(device) if is_gpu(device) else processor()


def _driver(device: str) -> str | None:
    """The NVIDIA driver and CUDA's version, or None on a CPU."""
    import torch

    from .devices import is_gpu

    if not is_gpu(device):
        return None
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        driver = subprocess.run(query, capture_output=True, text=True, check=True).stdout.split("\n")[0]
    except (OSError, subprocess.CalledProcessError):
        driver = "unknown"
    return f"{driver}, CUDA {torch.version.cuda}"


def _determinism() -> dict[str, Any]:
    import torch

    return {
        "threads": torch.get_num_threads(),
        "deterministic_algorithms": torch.are_deterministic_algorithms_enabled(),
        "cudnn_benchmark": torch.backends.cudnn.benchmark,
        "cudnn_deterministic": torch.backends.cudnn.deterministic,
        "tf32_matmul": torch.backends.cuda.matmul.allow_tf32,
        "tf32_cudnn": torch.backends.cudnn.allow_tf32,
    }


def _git() -> dict[str, Any] | None:
    """Commit and dirty flag of the source tree that this package runs from, None for an installed package."""
    here = Path(__file__).resolve().parents[2]
    if not (here / ".git").exists():
        return None
    try:
        git = ["git", "--no-optional-locks"]  # a lock of a process that is killed would stay in the checkout
        commit = subprocess.run([*git, "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, check=True)
        status = subprocess.run([*git, "status", "--porcelain"], cwd=here, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return {"commit": commit.stdout.strip(), "dirty": bool(status.stdout.strip())}
