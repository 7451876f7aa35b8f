"""What timings on a machine need: to wait for its device, and to know what it can do at most."""

from __future__ import annotations

import time

import torch

from .devices import is_gpu

MATRIX_SIZE = 2048


def synchronize(device: str) -> None:
    """Wait until a GPU has done what it was given; a CPU always has."""
    if is_gpu(device):
        torch.cuda.synchronize(device)


def matrix_gflops(device: str, dtype: torch.dtype = torch.float32) -> float:
    """The measured rate of a matrix product of 2048 × 2048, 10⁹ FLOPs a second."""
    a, b = (torch.randn(MATRIX_SIZE, MATRIX_SIZE, device=device, dtype=dtype) for _ in range(2))
    a @ b
    synchronize(device)
    began = time.perf_counter()
    for _ in range(5):
        a @ b
    synchronize(device)
    return 5 * 2 * MATRIX_SIZE**3 / (time.perf_counter() - began) / 1e9
