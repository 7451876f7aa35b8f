"""What a GPU can show: `tox -e gpu` on a machine with one. Where they mean something there, they run on the CPU too.

Constants named TOLERANCE are what docs/trust.md allows; a GPU that needs more is a finding.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from erasebench import ErasureTask, Method, TextToImage, Trainer
from erasebench.images.drawing import generate
from erasebench.images.files import read_image
from erasebench.images.jobs import Job
from erasebench.models.catalog import find_model
from erasebench.models.cost import Meter
from erasebench.models.devices import choose_device, has_bf16, is_gpu, resolve_precision
from erasebench.models.loading import load_model
from erasebench.models.random_weights import random_pipeline
from erasebench.registry import METHODS

GPU = pytest.param(
    "cuda", marks=[pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]
)
DEVICES = ["cpu", GPU]
TEXTS = ("a cat", "a red bus in the city", "nudity", "a church", "")
JOBS = [Job(f"p{k}", text, 0, k) for k, text in enumerate(TEXTS)]
BATCH_TOLERANCE = 1  # grey levels of a pixel, between batch sizes of one device in float32
DEVICE_TOLERANCE = 1.0  # grey levels of a pixel on average, between devices in float32
HALF_TOLERANCE = 8.0  # grey levels of a pixel on average, between half precision and float32
GRADIENTS = 0.98  # least cosine of a bf16 step's gradient and the float32 step's
MEMORY = Path("docs/memory.md")
GB = 1e9


@pytest.fixture(scope="module")
def models() -> dict[str, TextToImage]:
    """The embedded model by device, loaded when it is asked for first."""
    return {}


def model_on(models: dict[str, TextToImage], device: str) -> TextToImage:
    if device not in models:
        models[device] = load_model(find_model("mini"), choose_device(device))
    return models[device]


def drawn(model: TextToImage, folder: Path, batch_size: int = 5) -> np.ndarray:
    generate(model, JOBS, folder, steps=6, guidance=5.0, batch_size=batch_size)
    images = [read_image(folder / job.file_name) for job in JOBS]
    assert all(isinstance(image, np.ndarray) for image in images)
    return np.stack(images).astype(float)  # type: ignore[arg-type]


@contextmanager
def training(model: TextToImage, precision: str) -> Iterator[Trainer]:
    trainer = Trainer(model, "xattn", 0, precision=precision)
    with trainer.trainable():
        yield trainer


@pytest.mark.parametrize("device", DEVICES)
def test_a_bf16_step_points_where_the_float32_step_points(models: dict[str, TextToImage], device: str) -> None:
    model = model_on(models, device)
    if not has_bf16(device):
        pytest.skip("this GPU does not compute in bf16")
    z, target, context = model.noise([1, 2]), model.noise([3, 4]), model.encode(["a cat"])
    gradients = []
    for precision in ("fp32", "bf16"):
        with training(model, precision) as trainer:
            functional.mse_loss(model.predict_noise(z, 500, context), target).backward()
            parts = [weight.grad.flatten() for weight in trainer.parameters.values() if weight.grad is not None]
            gradients.append(torch.cat(parts).clone())
    exact, rough = gradients
    assert exact.dtype == rough.dtype == torch.float32
    assert not torch.equal(exact, rough)
    assert functional.cosine_similarity(exact, rough, dim=0) >= GRADIENTS


@pytest.mark.parametrize("device", DEVICES)
def test_drawing_repeats_itself_whatever_the_batch(models: dict[str, TextToImage], device: str, tmp_path: Path) -> None:
    model = model_on(models, device)
    first = drawn(model, tmp_path / "first")
    assert np.array_equal(first, drawn(model, tmp_path / "again"))
    assert np.abs(first - drawn(model, tmp_path / "small", batch_size=2)).max() <= BATCH_TOLERANCE
    on_cpu = drawn(model_on(models, "cpu"), tmp_path / "cpu")
    assert np.abs(first - on_cpu).mean() <= DEVICE_TOLERANCE


@pytest.mark.parametrize(
    ("device", "precision"),
    [("cpu", "bf16"), pytest.param("cuda", "bf16", marks=GPU.marks), pytest.param("cuda", "fp16", marks=GPU.marks)],
)
def test_half_precision_draws_almost_the_same(device: str, precision: str, tmp_path: Path) -> None:
    model = load_model(find_model("mini"), choose_device(device))
    exact = drawn(model, tmp_path / "exact")
    if not has_bf16(device) and precision == "bf16":
        pytest.skip("this GPU does not compute in bf16")
    model.set_precision(resolve_precision(precision, device))
    assert model.unet.dtype == (torch.float16 if precision == "fp16" else torch.float32)
    assert 0 < np.abs(drawn(model, tmp_path / "half") - exact).mean() <= HALF_TOLERANCE


@pytest.mark.parametrize("device", DEVICES)
def test_float32_has_all_its_bits(device: str) -> None:
    """TF32 would be off by about 1e-3."""
    chosen = choose_device(device)
    a, b = (torch.randn(256, 256, generator=torch.Generator().manual_seed(k)) for k in range(2))
    exact = a.double() @ b.double()
    product = (a.to(chosen) @ b.to(chosen)).cpu()
    image = functional.conv2d(a.to(chosen)[None, None], b.to(chosen)[None, None, :3, :3]).cpu()
    convolved = functional.conv2d(a.double()[None, None], b.double()[None, None, :3, :3])
    assert (product - exact).abs().max() / exact.abs().max() < 1e-5
    assert (image - convolved).abs().max() / convolved.abs().max() < 1e-5


@pytest.mark.parametrize("device", DEVICES)
def test_the_clock_stops_after_the_devices_work(models: dict[str, TextToImage], device: str) -> None:
    """A GPU is handed its work at once: without waiting, the time would be that of handing it over."""
    model = model_on(models, device)
    size = 8192 if is_gpu(device) else 512
    a = torch.randn(size, size, device=device)
    meter = Meter(model, memory=False)
    for _ in range(20):
        a @ a
    measured = meter.cost().train_seconds
    if not is_gpu(device):
        assert measured > 0
        return
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    for _ in range(20):
        a @ a
    end.record()
    torch.cuda.synchronize()
    assert measured >= 0.8 * start.elapsed_time(end) / 1000


@pytest.mark.parametrize("device", DEVICES)
def test_32_images_are_decoded_as_one_by_one(models: dict[str, TextToImage], device: str) -> None:
    """At 512 pixels on a GPU, where all at once would make a tensor of 2³¹ elements."""
    if is_gpu(device):
        model = TextToImage(random_pipeline(), "random", "sd", "random", choose_device(device))
    else:
        model = model_on(models, device)
    z = model.noise(range(32))
    images, finite = model.decode_checked(z)
    assert images.shape == (32, model.image_size, model.image_size, 3)
    assert finite.all()
    for k in (0, 7, 8, 31):
        assert np.abs(images[k].astype(int) - model.decode(z[k : k + 1])[0]).max() <= BATCH_TOLERANCE


@pytest.mark.gpu
@pytest.mark.slow
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_an_esd_u_step_takes_the_memory_that_is_documented() -> None:
    """The most that a method takes: weights and optimiser as docs/memory.md says, and at most 3 GB on top."""
    model = TextToImage(random_pipeline(), "random", "sd", "random", choose_device("cuda"))
    method: Method = METHODS.load("esd")
    config = method.configure("sd", "object", {"steps": 2, "sampler_steps": 5})
    trainer = Trainer(model, config.parameters, 0, precision="auto")
    method.erase(model, ErasureTask("cat", "object", "cat", "dog", ("dog",), "a cat", 0), config, trainer)
    peak = trainer.cost().peak_memory_mb * 2**20 / GB
    line = next(
        line for line in MEMORY.read_text("utf-8").splitlines() if re.match(r"\| `esd` \| nudity, object", line)
    )
    stated = float(line.split("|")[-2].strip().strip("*"))
    print(f"peak of an ESD-u step: {peak:.2f} GB, weights and optimiser {stated} GB")  # noqa: T201
    assert 0.8 * stated <= peak <= stated + 3
