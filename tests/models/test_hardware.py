"""What a processor and GPUs are, told from files."""

from __future__ import annotations

from pathlib import Path

import pytest

from erasebench.errors import BenchError
from erasebench.models.hardware import check_device, hardware, processor


def machine(root: Path, **files: str) -> Path:
    for name, text in files.items():
        file = root / name.replace("__", "/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return root


def test_a_processor_is_told_by_its_name_and_flags(tmp_path: Path) -> None:
    one = hardware("cpu", machine(tmp_path / "one", proc__cpuinfo="model name : A\nflags : avx2\n"))
    other = hardware("cpu", machine(tmp_path / "other", proc__cpuinfo="model name : A\nflags : avx2 amx\n"))
    assert one is not None
    assert one != other
    assert hardware("auto", tmp_path / "one") == one
    assert processor()


def test_a_gpu_is_told_by_its_driver_and_where_that_is_silent_not_at_all(tmp_path: Path) -> None:
    root = machine(tmp_path, proc__cpuinfo="model name : A\n", dev__nvidia0="")
    assert hardware("auto", root) is None
    assert hardware("cuda", root) is None
    assert hardware("cpu", root) is not None
    machine(root, proc__driver__nvidia__version="570", proc__driver__nvidia__gpus__0__information="H100")
    known = hardware("cuda:1", root)
    assert known is not None
    assert hardware("auto", root) == hardware("cuda", root) != known
    machine(root, proc__driver__nvidia__version="571")
    assert hardware("cuda:1", root) != known


@pytest.mark.parametrize("name", ["gpu", "cuda:", "cuda:x", "CPU", ""])
def test_what_is_no_device_is_told(name: str) -> None:
    with pytest.raises(BenchError, match="--device is auto, cpu, cuda or cuda:N"):
        check_device(name)
    assert check_device("cuda:3") == "cuda:3"
