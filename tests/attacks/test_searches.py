"""What the searches are made of, against short independent code; that each lowers its loss; where gradients go."""

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from erasebench import Attack, Attempt, TextToImage
from erasebench.attacks import concept_inversion, continuous_inversion, embedding_pgd
from erasebench.attacks.inverted_latent import inverted
from erasebench.attacks.p4d import OPEN, HardPrompt, nearest
from erasebench.attacks.ring_a_bell import concept_direction, searched
from erasebench.attacks.unlearndiffatk import on_simplex
from erasebench.images.jobs import Job
from erasebench.prompts.concepts import get_concept
from erasebench.registry import ATTACKS
from erasebench.runs.plan import Generation

JOBS = [Job("p0", "a photo of a garbage truck", 0, 3), Job("p1", "a garbage truck at night", 0, 4)]


def attempt_on(model: TextToImage, said: list[str], budget: int = 1, jobs: list[Job] = JOBS) -> Attempt:
    drawing, concept = Generation(steps=2, batch_size=2), get_concept("garbage truck")

    def judge(images: np.ndarray) -> list[float | None]:
        return [1.0] * len(images)

    return Attempt(model, concept, jobs, budget, drawing, 0, judge, lambda: model.frozen_copy(), say=said.append)


def bisected(row: np.ndarray) -> np.ndarray:
    """The projection as the authors make it: the shift at which the positive parts sum to 1."""
    low, high = row.min() - 1, row.max()
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if np.maximum(row - middle, 0).sum() > 1 else (low, middle)
    return np.maximum(row - low, 0)


def test_the_simplex_is_projected_onto() -> None:
    rows = torch.randn(6, 50, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    rows[0] = torch.full((50,), 1 / 50)
    found = on_simplex(rows)
    assert np.allclose(found.numpy(), [bisected(row) for row in rows.numpy()], atol=1e-12)
    assert torch.allclose(found[0], rows[0])


def test_the_nearest_word_is_nearest_by_cosine(mini: TextToImage) -> None:
    attempt = attempt_on(mini, [])
    table, free = attempt.tokens.table, attempt.tokens.free
    vectors = torch.stack([7 * table[320] + 0.001, table[1929] / 9])
    prompt = HardPrompt(torch.tensor([49406, OPEN, 525, OPEN, 49407]), vectors, None, None)  # type: ignore[arg-type]
    words = torch.nn.functional.normalize(table[free], dim=1)
    cosines = torch.nn.functional.cosine_similarity(vectors[:, None], table[None, free], dim=2)
    best = free[cosines.argmax(1)].tolist()
    assert nearest(attempt, prompt, words).tolist() == [49406, best[0], 525, best[1], 49407]


def test_ring_a_bell_keeps_the_best_of_a_generation(mini: TextToImage) -> None:
    said: list[str] = []
    attempt = attempt_on(mini, said)
    config = ATTACKS.load("ring-a-bell").configure("mini", "object", {"tokens": 3, "population": 8, "generations": 12})
    direction = concept_direction(attempt)
    assert direction.shape == (77, mini.text_encoder.config.hidden_size)
    ids = searched(attempt, config, JOBS[0], direction)
    errors = [float(re.findall(r"error ([-\d.e+]+)", line)[0]) for line in said]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < errors[0]
    wanted = mini.encode([JOBS[0].text])[0] + 3.0 * direction
    error = (attempt.tokens.encode(ids[None])[0] - wanted).square().sum()
    assert float(error) == pytest.approx(errors[-1], rel=1e-3)


def test_inverted_noise_draws_the_image_again(mini: TextToImage) -> None:
    attempt = attempt_on(mini, [])
    latents = attempt.shown(JOBS)
    empty = mini.encode([""])
    again = mini.denoise(inverted(attempt, latents, 20), empty, empty, steps=20, guidance=1.0)
    other = mini.denoise(mini.noise([1, 2]), empty, empty, steps=20, guidance=1.0)
    assert (again - latents).square().mean() < 0.2 * (other - latents).square().mean()


@pytest.fixture
def weakened(mini: TextToImage) -> Iterator[tuple[TextToImage, Any]]:
    """The model with values of cross-attention that point elsewhere, and the original's UNet."""
    original = mini.frozen_copy()
    values = [value for name, value in mini.unet.state_dict().items() if "attn2.to_v" in name]
    before = [value.clone() for value in values]
    for value in values:
        value.mul_(-0.5)
    yield mini, original
    for value, old in zip(values, before, strict=True):
        value.copy_(old)


class Measured:
    """An attack on a weakened model, and its loss over draws of its own."""

    def __init__(self, model: TextToImage, original: Any) -> None:
        self.model = model
        self.attempt = attempt_on(model, [])
        self.attempt.first_unet = lambda: original
        self.original = original
        random = torch.Generator().manual_seed(1)
        self.latents = self.attempt.examples(4).repeat(6, 1, 1, 1)
        self.t = torch.randint(1000, (24,), generator=random)
        self.noise = torch.randn(self.latents.shape, generator=random)
        self.z = model.add_noise(self.latents, self.noise, self.t)

    def denoising(self, embedding: torch.Tensor) -> float:
        with torch.no_grad():
            return float((self.model.predict_noise(self.z, self.t, embedding[None]) - self.noise).square().mean())

    def apart(self, embedding: torch.Tensor, target: str) -> float:
        """From what the original predicts for a target."""
        with torch.no_grad():
            wanted = self.model.predict_noise(self.z, self.t, self.model.encode([target]), self.original)
            return float((self.model.predict_noise(self.z, self.t, embedding[None]) - wanted).square().mean())


@pytest.mark.slow
def test_a_learned_embedding_denoises_better(weakened: tuple[TextToImage, Any]) -> None:
    measured, phrase = Measured(*weakened), "a garbage truck"
    before = measured.denoising(measured.model.encode([phrase])[0])
    config = ATTACKS.load("continuous-inversion").configure("mini", "object", {"steps": 40, "images": 4})
    whole = measured.denoising(continuous_inversion.learned(measured.attempt, config))
    assert whole < before
    config = ATTACKS.load("concept-inversion").configure("mini", "object", {"steps": 40, "images": 4})
    word = concept_inversion.learned(measured.attempt, config)
    assert measured.denoising(concept_inversion.asking(measured.attempt, phrase, word)[0]) < before


def test_a_changed_embedding_is_nearer_to_the_original_and_within_its_box(weakened: tuple[TextToImage, Any]) -> None:
    measured, text = Measured(*weakened), JOBS[0].text
    plain = measured.model.encode([text])[0]
    config = ATTACKS.load("embedding-pgd").configure("mini", "object", {"steps": 20, "radius": 0.5})
    found = embedding_pgd.changed(measured.attempt, config, JOBS[:1], 0)[0]
    assert (found - plain).abs().max() <= 0.5 * plain.abs().mean() + 1e-6
    assert plain.min() <= found.min() <= found.max() <= plain.max()
    assert measured.apart(found, text) < measured.apart(plain, text)


@pytest.mark.slow
def test_relearned_weights_denoise_better(weakened: tuple[TextToImage, Any]) -> None:
    measured = Measured(*weakened)
    embedding = measured.model.encode(["a garbage truck"])[0]
    before, after = measured.denoising(embedding), []
    draw = measured.attempt.draw
    measured.attempt.draw = lambda tries: (after.append(measured.denoising(embedding)), draw(tries))[1]  # type: ignore
    found: Attack = ATTACKS.load("relearning")
    found.run(measured.attempt, found.configure("mini", "object", {"at": [20], "images": 4}))
    assert after[0] < before == measured.denoising(embedding)


@pytest.mark.slow
def test_gradients_reach_no_weight(mini: TextToImage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Attacks that have gradients of the conditioning alone never take one by a weight."""
    asked: list[bool] = []
    predict = mini.predict_noise

    def watched(*arguments: Any, **options: Any) -> torch.Tensor:
        asked.append(any(p.requires_grad for p in (*mini.unet.parameters(), *mini.text_encoder.parameters())))
        return predict(*arguments, **options)

    monkeypatch.setattr(mini, "predict_noise", watched)
    for name in ATTACKS.names():
        found: Attack = ATTACKS.load(name)
        if found.access == "gradients":
            small = {"steps": 2} if "steps" in found.config.model_fields else {}
            small |= {"images": 1} if "images" in found.config.model_fields else {}
            small |= {"steps_an_image": 1} if "steps_an_image" in found.config.model_fields else {}
            found.run(attempt_on(mini, []), found.configure("mini", "object", small))
    assert asked
    assert not any(asked)
