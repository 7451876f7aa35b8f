"""Devices and number formats: what was asked for, what this machine has, and exact float32."""

from __future__ import annotations

import math

import torch

from ..errors import BenchError
from .hardware import check_device

MOST_TOGETHER = 32  # images; more are no faster on the embedded model
PRECISIONS = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


def choose_device(wanted: str) -> str:
    """ "auto", "cpu", "cuda" or "cuda:N" as a torch device; TF32 is off from then on.

    Raises:
        BenchError: it is none of these, there is no CUDA device, or none of this number.
    """
    check_device(wanted)
    if wanted == "cpu" or (wanted == "auto" and not torch.cuda.is_available()):
        return "cpu"
    if not torch.cuda.is_available():
        raise BenchError(
            f"--device {wanted}: PyTorch {torch.__version__} sees no CUDA device here. "
            "Use --device cpu, or check the driver with nvidia-smi and install a CUDA build of torch."
        )
    count, (_, _, number) = torch.cuda.device_count(), wanted.partition(":")
    if number and int(number) >= count:
        there = ", ".join(f"cuda:{k} ({torch.cuda.get_device_name(k)})" for k in range(count))
        raise BenchError(f"--device {wanted}: there is no such GPU; PyTorch sees {there}.")
    switch_off_tf32()
    return f"cuda:{int(number)}" if number else "cuda"


def is_gpu(device: str) -> bool:
    """Whether a torch device is a CUDA device, whatever its number."""
    return device.partition(":")[0] == "cuda"


def has_bf16(device: str) -> bool:
    """Whether a device computes in bfloat16: every CPU, and GPUs from NVIDIA's Ampere on (compute capability 8.0)."""
    return not is_gpu(device) or torch.cuda.get_device_capability(device)[0] >= 8


def has_fast_bf16() -> bool:
    """Whether this CPU has instructions for bfloat16 matrices; others are slower in it than in fp32."""
    known: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()  # older versions of torch do not tell
    return bool(known.get("avx512_bf16") or known.get("amx_bf16"))


def resolve_precision(precision: str, device: str) -> str:
    """The number format of generation; "auto" is fp16 on a GPU, bf16 on a CPU that is fast in it, else fp32.

    Raises:
        BenchError: fp16 is asked for on a CPU, or bf16 on a GPU without it.
    """
    if precision == "auto":
        return "fp16" if is_gpu(device) else "bf16" if has_fast_bf16() else "fp32"
    if precision == "fp16" and not is_gpu(device):
        raise BenchError("generation.precision: fp16 needs a GPU; on the CPU use fp32 or bf16.")
    if precision == "bf16" and not has_bf16(device):
        raise BenchError(f"generation.precision: {_without_bf16(device)}; use fp16 or fp32.")
    return precision


def resolve_batch_size(wanted: int, device: str, size: int) -> int:
    """How many images are drawn together; for 0 what suits the device and can't change between two runs on it.

    On a GPU as many images of 512 pixels as it has 2.5 GB, down to a power of two; on a CPU four; of images of another
    size as many as have as many pixels; 32 at most. Where a GPU's memory is used by others, half as many are drawn.

    Args:
        wanted: as a plan says it.
        device: "cpu", "cuda" or "cuda:N".
        size: height and width of an image in pixels.
    """
    if wanted:
        return wanted
    of_512 = torch.cuda.get_device_properties(device).total_memory / 2.5e9 if is_gpu(device) else 4.0
    fitting = min(MOST_TOGETHER, of_512 * (512 / size) ** 2)
    return 1 << max(0, math.floor(math.log2(fitting)))


def resolve_training_precision(precision: str, device: str) -> str:
    """The number format of training; "auto" is bf16 on a GPU that has it, else fp32.

    Raises:
        BenchError: bf16 is asked for on a GPU without it.
    """
    if precision == "auto":
        return "bf16" if is_gpu(device) and has_bf16(device) else "fp32"
    if precision == "bf16" and not has_bf16(device):
        raise BenchError(f"training.precision: {_without_bf16(device)}; use fp32.")
    return precision


def _without_bf16(device: str) -> str:
    return f"{torch.cuda.get_device_name(device)} does not compute in bf16 (it takes compute capability 8.0, Ampere)"


def switch_off_tf32() -> None:
    """Let float32 mean float32: TF32, cuDNN's default for convolutions, keeps 10 of 23 bits of each factor."""
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that a device's memory is used up; the CPU's allocator has no error of its own."""
    return isinstance(error, torch.cuda.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
    )
