"""Devices and number formats: what is allowed, and what an error says."""

from types import SimpleNamespace

import pytest
import torch

from erasebench.errors import BenchError
from erasebench.models.cost import Meter
from erasebench.models.devices import (
    choose_device,
    has_bf16,
    is_gpu,
    is_out_of_memory,
    resolve_batch_size,
    resolve_precision,
    resolve_training_precision,
    switch_off_tf32,
)


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A machine as PyTorch sees one with two GPUs; `capability` can be changed."""
    machine = SimpleNamespace(capability=(8, 0))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device=None: "Tesla")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device=None: machine.capability)
    return machine


@pytest.mark.usefixtures("two_gpus")
def test_a_gpu_is_chosen_by_number() -> None:
    for wanted, device in (
        ("auto", "cuda"),
        ("cuda", "cuda"),
        ("cuda:1", "cuda:1"),
        ("cuda:01", "cuda:1"),
        ("cpu", "cpu"),
    ):
        assert choose_device(wanted) == device
    with pytest.raises(BenchError, match=r"cuda:2: there is no such GPU; PyTorch sees cuda:0 \(Tesla\), cuda:1"):
        choose_device("cuda:2")


@pytest.mark.parametrize("wanted", ["gpu", "cuda:", "cuda:-1", "cuda:one", "cuda:0 ", "CUDA", "cuda:9999", "mps", ""])
def test_other_devices_are_refused(wanted: str) -> None:
    with pytest.raises(BenchError, match="auto, cpu, cuda or cuda:N"):
        choose_device(wanted)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
@pytest.mark.parametrize("wanted", ["cuda", "cuda:0"])
def test_cuda_without_a_gpu_is_an_error(wanted: str) -> None:
    assert choose_device("auto") == "cpu"
    with pytest.raises(BenchError, match="sees no CUDA device"):
        choose_device(wanted)


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ({"avx512_bf16": True, "amx_bf16": False}, "bf16"),
        ({"avx512_bf16": False, "amx_bf16": True}, "bf16"),
        ({"avx512_f": True, "avx512_bf16": False}, "fp32"),
        ({"neon": True}, "fp32"),
    ],
)
def test_a_cpu_draws_in_bf16_where_it_is_fast_in_it(
    monkeypatch: pytest.MonkeyPatch, known: dict[str, bool], expected: str
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: known, raising=False)
    assert resolve_precision("auto", "cpu") == expected
    assert resolve_precision("fp32", "cpu") == resolve_training_precision("auto", "cpu") == "fp32"


def test_half_precision_needs_a_device_that_has_it(two_gpus: SimpleNamespace) -> None:
    assert resolve_training_precision("auto", "cpu") == "fp32"
    assert resolve_precision("bf16", "cpu") == resolve_training_precision("bf16", "cpu") == "bf16"
    with pytest.raises(BenchError, match="fp16 needs a GPU"):
        resolve_precision("fp16", "cpu")
    for device in ("cuda", "cuda:1"):
        assert is_gpu(device)
        assert resolve_precision("auto", device) == "fp16"
        assert resolve_precision("bf16", device) == resolve_training_precision("auto", device) == "bf16"
    two_gpus.capability = (7, 5)  # Turing
    assert not has_bf16("cuda:1")
    assert resolve_training_precision("auto", "cuda:1") == "fp32"
    for resolve in (resolve_precision, resolve_training_precision):
        with pytest.raises(BenchError, match=r"Tesla does not compute in bf16.*use (fp16 or )?fp32"):
            resolve("bf16", "cuda:1")


def test_float32_is_without_tf32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    switch_off_tf32()
    assert not torch.backends.cudnn.allow_tf32
    assert not torch.backends.cuda.matmul.allow_tf32


def test_out_of_memory_is_told_from_other_errors() -> None:
    assert is_out_of_memory(torch.cuda.OutOfMemoryError("CUDA out of memory"))
    assert is_out_of_memory(RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried …"))
    assert not is_out_of_memory(RuntimeError("shapes differ"))
    assert not is_out_of_memory(ValueError("can't allocate memory"))


def test_a_meter_waits_for_the_device_before_it_reads_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each reading of the clock comes right after the device has done its work, pauses included."""
    told: list[str] = []
    monkeypatch.setattr("erasebench.models.cost.synchronize", lambda device: told.append(f"wait for {device}"))
    monkeypatch.setattr("erasebench.models.cost.time.perf_counter", lambda: told.append("clock") or float(len(told)))
    model = SimpleNamespace(device="cuda:1", forwards=SimpleNamespace(without_gradient=0, with_gradient=0))
    meter = Meter(model, memory=False)  # type: ignore[arg-type]
    with meter.paused():
        told.append("a checkpoint")
    meter.cost()
    waited = ["wait for cuda:1", "clock"]
    assert told == [*waited, *waited, "a checkpoint", *waited, *waited]


def test_a_batch_suits_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [resolve_batch_size(0, "cpu", size) for size in (64, 256, 512, 768, 1024)] == [32, 16, 4, 1, 1]
    assert resolve_batch_size(7, "cpu", 1024) == 7
    for gigabytes, batch in ((8, 2), (24, 8), (80, 32), (141, 32)):
        memory = SimpleNamespace(total_memory=int(gigabytes * 1e9))
        monkeypatch.setattr("torch.cuda.get_device_properties", lambda device, found=memory: found)
        assert resolve_batch_size(0, "cuda:0", 512) == batch
    assert resolve_batch_size(0, "cuda:0", 1024) == 8
