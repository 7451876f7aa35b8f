"""A model that predicts velocity is the same model: it draws the same and learns the same."""

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, UNet2DConditionModel
from one_step import TASK, closed_forms, quick, trained
from tiny import save_tiny, tiny_pipeline

from erasebench import Trainer
from erasebench.errors import BenchError
from erasebench.models.architecture import new_scheduler
from erasebench.models.catalog import find_model
from erasebench.models.formats.read import read_own
from erasebench.models.formats.recognise import recognise
from erasebench.models.loading import load_model
from erasebench.models.patch import difference, restored
from erasebench.models.text_to_image import TextToImage
from erasebench.models.velocity import noise_of_velocity
from erasebench.spectrum.blocks import ErasedModel
from erasebench.spectrum.draws import Latents
from erasebench.spectrum.scan import scan
from erasebench.spectrum.vocabulary import Vocabulary


class Velocity(UNet2DConditionModel):
    """A UNet that predicts noise, with its output made velocity: v = (ε − √(1 − ᾱ) z) / √ᾱ."""

    def forward(self, z: torch.Tensor, t: Any, encoder_hidden_states: torch.Tensor, **options: Any) -> Any:
        noise = super().forward(z, t, encoder_hidden_states, **options)
        products = new_scheduler().alphas_cumprod
        sigmas = ((1 - products) / products).sqrt().numpy()
        sigma = torch.tensor(np.interp(np.atleast_1d(np.asarray(t)), np.arange(1000), sigmas), dtype=torch.float32)
        product = (1 / (1 + sigma**2)).view(-1, 1, 1, 1)
        value = ((noise[0] if isinstance(noise, tuple) else noise.sample) - (1 - product).sqrt() * z) / product.sqrt()
        return (value,) if options.get("return_dict") is False else SimpleNamespace(sample=value)


def model_of(predicts: str) -> TextToImage:
    pipeline = tiny_pipeline()
    if predicts == "v_prediction":
        pipeline.unet.__class__ = Velocity
        scheduler = DDIMScheduler.from_config(pipeline.scheduler.config, prediction_type=predicts)
        pipeline.register_modules(scheduler=scheduler)
    return TextToImage(pipeline, predicts, "sd", predicts, "cpu")


@pytest.fixture(scope="module")
def twins() -> tuple[TextToImage, TextToImage]:
    return model_of("epsilon"), model_of("v_prediction")


@pytest.mark.parametrize("solver", ["ddim", "dpm++", "lms", "pndm"])
def test_it_draws_the_same(solver: str, twins: tuple[TextToImage, TextToImage]) -> None:
    drawn = []
    for model in twins:
        noise, context = model.noise([1, 2]), model.encode(["a cat", "a bus"])
        drawn.append(model.denoise(noise, context, model.encode([""]), steps=7, guidance=5.0, solver=solver))
    torch.testing.assert_close(*drawn, rtol=1e-3, atol=1e-4)


def test_noise_of_every_row_is_read_at_its_own_level(twins: tuple[TextToImage, TextToImage]) -> None:
    z, t, context = torch.randn(3, 4, 8, 8), torch.tensor([0, 500, 999]), twins[0].encode(["a cat"])
    expected, found = (model.predict_noise(z, t, context) for model in twins)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)
    raw = twins[1].unet(z, t, context.expand(3, -1, -1)).sample
    assert not torch.allclose(raw, expected, atol=0.1)  # the twin's network gives another number


@pytest.mark.parametrize("name", [*trained(), *closed_forms()])
def test_it_learns_the_same(name: str, twins: tuple[TextToImage, TextToImage]) -> None:
    """To rounding: the losses are those of noise, and so are the gradients."""
    method, config = quick(name, steps=2)
    changes = []
    for twin in twins:
        with restored(twin) as before:
            method.erase(twin, TASK, config, Trainer(twin, config.parameters, 0))
            patch = difference(before, twin)
        changes.append(torch.cat([(value - before[key]).flatten() for key, value in sorted(patch.items())]))
    mine, other = changes
    assert mine.shape == other.shape
    assert mine.norm() > 0
    assert (mine - other).norm() < 0.05 * mine.norm()  # Adam's first steps have the gradients' signs alone


def test_plain_diffusers_draws_what_we_draw(twins: tuple[TextToImage, TextToImage]) -> None:
    """So does an export, whose sampler says what the network predicts."""
    model = twins[1]
    noise = model.noise([3])
    pipeline = model.pipeline()
    pipeline.set_progress_bar_config(disable=True)
    theirs = pipeline(
        "a cat", latents=noise, num_inference_steps=5, guidance_scale=5.0, output_type="np", return_dict=False
    )[0]
    z = model.denoise(noise, model.encode(["a cat"]), model.encode([""]), steps=5, guidance=5.0)
    ours = model.decode(z)[0].astype(float)
    assert np.abs(ours - theirs[0] * 255).max() <= 1


def test_its_spectrum_is_the_same(
    twins: tuple[TextToImage, TextToImage], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("erasebench.spectrum.forward.can_share", lambda unet: False)  # the twin is made in `forward`
    texts = Vocabulary("three", ("cat", "bus", "road"), (0, 1, 2), (True,) * 3)
    scores = []
    for model in twins:
        weight = model.unet.conv_out.weight.detach()
        erased = ErasedModel("other", "other", lambda weight=weight: {"conv_out.weight": 1.1 * weight})
        scores.append(scan(model, [erased], texts, tmp_path / model.name, Latents(2, 1)).differences["other"])
    np.testing.assert_allclose(*scores, rtol=1e-3)


def test_a_row_of_the_other_kind_is_refused(tmp_path: Path) -> None:
    """Stable Diffusion 2.1 and 2.1-base have the same tensors, and mean another thing by them."""
    folder = save_tiny(tmp_path / "epsilon")
    other = save_tiny(tmp_path / "velocity")
    config = other / "scheduler" / "scheduler_config.json"
    config.write_text(config.read_text().replace('"epsilon"', '"v_prediction"'))
    base = load_model(find_model(str(other)), "cpu")
    assert base.levels["prediction_type"] == "v_prediction"
    with pytest.raises(BenchError, match="predicts 'epsilon' and the base 'v_prediction'"):
        read_own(recognise(folder), base)


def test_the_formula_by_hand() -> None:
    products = [0.64, 0.36]
    found = noise_of_velocity(torch.tensor([[[[2.0]]]]), torch.tensor([[[[1.0]]]]), 1, products)
    assert float(found) == pytest.approx(0.6 * 2 + 0.8 * 1)
    between = noise_of_velocity(torch.tensor([[[[2.0]]]]), torch.tensor([[[[1.0]]]]), 0.5, products)
    sigma = (0.75 + 4 / 3) / 2
    product = 1 / (1 + sigma**2)
    assert float(between) == pytest.approx(math.sqrt(product) * 2 + math.sqrt(1 - product))
