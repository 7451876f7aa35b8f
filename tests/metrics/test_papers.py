"""The numbers that papers report beside the usual ones, against libraries and short formulas."""

from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest
import timm
import torch
import torchvision
from PIL import Image
from safetensors.torch import save_file
from scored import Features, context_of, image_set, known, pixels
from torchmetrics.functional.image import learned_perceptual_image_patch_similarity
from torchmetrics.image import MultiScaleStructuralSimilarityIndexMeasure

from erasebench import ImageScores, ImageSet, Part, SetScore, combined, harmonic_mean
from erasebench.develop.mini.world import CONCEPTS, Scene, Thing, render
from erasebench.engine.score import set_fields
from erasebench.errors import BenchError, NotApplicable, NotScored
from erasebench.images.jobs import Job, plan_jobs
from erasebench.metrics.cmmd import kernel_sums
from erasebench.prompts.concepts import get_concept, get_concepts
from erasebench.prompts.sets import prompt_set
from erasebench.registry import METRICS
from erasebench.runs.plan_file import load_plan
from erasebench.scoring.classes import Classes
from erasebench.scoring.classifiers import CanvasClassifier, ImageNetClassifier
from erasebench.scoring.context import JACKKNIFE_GROUPS, jackknife_groups
from erasebench.scoring.judge import Judge
from erasebench.scoring.perceptual import Lpips

Sides = tuple[ImageSet, ImageSet]


def test_papers_is_a_group_that_only_its_name_turns_on() -> None:
    papers = list(METRICS.groups["papers"])
    assert load_plan("main", {"metrics": ["papers"]}).metrics == papers
    assert load_plan("main", {"metrics": ["ssim", "papers", "psnr"]}).metrics == ["ssim", *papers]
    assert not set(papers) & set(load_plan("main", {"metrics": ["all"]}).metrics)
    with pytest.raises(BenchError, match=r"unknown metric 'paper'\. Did you mean 'papers'"):
        load_plan("main", {"metrics": ["paper"]})


@pytest.fixture
def sides(tmp_path: Path) -> Sides:
    """Three images of the original, of 176 pixels, and the same with noise."""
    rng = np.random.default_rng(0)
    plain = [rng.integers(0, 256, (22, 22, 3)).repeat(8, 0).repeat(8, 1) for _ in range(3)]
    noisy = [np.clip(image + rng.integers(-60, 61, image.shape), 0, 255) for image in plain]
    original, drawn = ([image.astype(np.uint8) for image in side] for side in (plain, noisy))
    texts = ["a cat", "a dog", "a bus"]
    return image_set(tmp_path / "original", original, texts, "original"), image_set(tmp_path / "row", drawn, texts)


def tensor(image: np.ndarray) -> torch.Tensor:
    return torch.tensor(image).permute(2, 0, 1)[None].float()


def test_ms_ssim_is_torchmetrics_of_each_image_and_needs_161_pixels(sides: Sides, tmp_path: Path) -> None:
    original, drawn = sides
    metric = METRICS.load("ms_ssim")
    result = metric.score(drawn, context_of(None, original=original))
    for value, mine, other in zip(result.values, pixels(drawn), pixels(original), strict=True):
        whole = MultiScaleStructuralSimilarityIndexMeasure(data_range=255.0)
        assert value == pytest.approx(float(whole(tensor(mine), tensor(other))), abs=1e-5)
        assert 0 < value < 0.99
    assert metric.score(original, context_of(None, original=original)).values == pytest.approx([1.0] * 3)
    small = image_set(tmp_path / "small", [np.zeros((160, 160, 3), np.uint8)], ["x"])
    with pytest.raises(NotApplicable, match="five scales need 161 pixels a side"):
        metric.score(small, context_of(None, original=small))
    with pytest.raises(NotApplicable, match="compared with itself"):
        metric.score(original, context_of(None, row="original", original=original))


def test_lpips_is_torchmetrics_in_the_range_of_its_network(sides: Sides, monkeypatch: pytest.MonkeyPatch) -> None:
    """With random weights in AlexNet's place, which have to be fetched."""
    alexnet = torchvision.models.alexnet

    def seeded(weights: object = None) -> torch.nn.Module:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            return alexnet(weights=None)

    monkeypatch.setattr(torchvision.models, "alexnet", seeded)
    original, drawn = sides
    result = METRICS.load("lpips_erased").score(drawn, context_of(None, original=original, lpips=lambda: Lpips("cpu")))
    for value, mine, other in zip(result.values, pixels(drawn), pixels(original), strict=True):
        scaled = (tensor(image) / 255 for image in (mine, other))
        expected = learned_perceptual_image_patch_similarity(*scaled, net_type="alex", normalize=True)
        assert value == pytest.approx(float(expected), rel=1e-4)
        assert value > 0
    assert result.qualifier == ""
    same = METRICS.load("lpips_others").score(original, context_of(None, original=original, lpips=lambda: Lpips("cpu")))
    assert same.values == pytest.approx([0.0] * 3, abs=1e-7)


def test_lpips_without_weights_says_from_where_to_where(sides: Sides, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(weights: object = None) -> None:
        raise URLError("no network")

    monkeypatch.setattr(torchvision.models, "alexnet", unreachable)
    with pytest.raises(NotScored, match=r"from .*checkpoints/alexnet.*\.pth, nor fetched from https://.*alexnet"):
        METRICS.load("lpips_others").score(sides[1], context_of(None, original=sides[0], lpips=lambda: Lpips("cpu")))


def test_on_the_embedded_model_lpips_is_the_judges_cosine(judge: Judge, sides: Sides) -> None:
    original, drawn = sides
    result = METRICS.load("lpips_others").score(drawn, context_of(judge, original=original))
    a, b = (judge.image_features(pixels(side)).astype(float) for side in (drawn, original))
    cosine = (a * b).sum(1) / np.sqrt((a**2).sum(1) * (b**2).sum(1))
    assert result.values == pytest.approx(list(1 - cosine), abs=1e-5)
    assert result.qualifier == "judge"
    assert "in place of LPIPS" in result.note


def gaussian_mmd(x: np.ndarray, y: np.ndarray) -> float:
    """A thousand times the biased squared MMD, pair by pair."""
    x, y = (side / np.linalg.norm(side, axis=1, keepdims=True) for side in (x, y))

    def mean(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.mean([[np.exp(-((p - q) ** 2).sum() / 200) for q in b] for p in a]))

    return 1000 * (mean(x, x) + mean(y, y) - 2 * mean(x, y))


def test_cmmd_is_the_biased_gaussian_mmd_of_embeddings_of_length_1() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((60, 8)), rng.standard_normal((25, 8)) + 0.5
    prompts = [f"p{k}" for k in range(60)]
    sets = known(x, prompts), known(y, [f"r{k}" for k in range(25)], "reference")
    result = METRICS.load("cmmd").score(sets[0], context_of(None, reference=sets[1], encoder=lambda look: Features()))
    assert result.value == pytest.approx(gaussian_mmd(x, y), rel=1e-9)
    groups = jackknife_groups(prompts)
    assert groups is not None
    for g in (0, 19):
        assert result.trainings[0].replicates[g] == pytest.approx(gaussian_mmd(x[groups != g], y), rel=1e-9)
    same = METRICS.load("cmmd").score(sets[0], context_of(None, reference=sets[0], encoder=lambda look: Features()))
    assert same.value == pytest.approx(0, abs=1e-9)


def test_the_kernels_sums_do_not_depend_on_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.random.default_rng(0).standard_normal((9, 4))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    whole = kernel_sums(x, x)
    monkeypatch.setattr("erasebench.metrics.cmmd.BLOCK", 4)
    assert kernel_sums(x, x) == pytest.approx(whole)


def drawn(folder: Path, shown: list[tuple[str, str, str | None]], row: str = "esd") -> ImageSet:
    """Renders: for each a prompt, the thing that the image really shows, and its style."""
    images = [
        render(Scene((Thing(thing, CONCEPTS[thing].usual),), "plain", style, k))
        for k, (_, thing, style) in enumerate(shown)
    ]
    return image_set(folder, images, [text for text, _, _ in shown], row)


NAMED = [f"a garbage truck {place}".strip() for place in ("", "at night", "in a room", "on the beach")]
IN_OTHER_WORDS = ["a bin lorry", "a refuse lorry", "a refuse lorry at night", "a bin lorry in a room", "the bin lorry"]
THINGS = ["cat", "church", "boat", "guitar", "bird", "fish", "chair", "clock"]


@pytest.fixture(scope="module")
def truck_and_others(tmp_path_factory: pytest.TempPathFactory) -> Sides:
    """Garbage trucks erased: one of four is left where named, two of five in other words; and a thing is lost."""
    folder = tmp_path_factory.mktemp("truck")
    named = [(text, "garbage truck" if k < 1 else "cat", None) for k, text in enumerate(NAMED)]
    words = [(text, "garbage truck" if k < 2 else "tree", None) for k, text in enumerate(IN_OTHER_WORDS)]
    others = [(f"a photo of a {name}", "lamp" if name == "clock" else name, None) for name in THINGS]
    return drawn(folder / "concept", [*named, *words]), drawn(folder / "objects", others)


def test_maces_h_is_the_harmonic_mean_of_erased_kept_and_other_words(judge: Judge, truck_and_others: Sides) -> None:
    concept, others = truck_and_others
    context = context_of(judge, "garbage truck", beside={"objects": others})
    result = METRICS.load("mace_h").score(concept, context)
    assert result.value == pytest.approx(3 / (1 / (3 / 4) + 1 / (7 / 8) + 1 / (3 / 5)))
    assert result.parts == pytest.approx({"Acc_e": 1 / 4, "Acc_s": 7 / 8, "Acc_g": 2 / 5})
    assert result.n == 17
    assert result.qualifier == "judge"
    assert result.note.endswith(
        "harmonic mean of 1 − Acc_e, Acc_s, 1 − Acc_g; prompts: Acc_e of 4, Acc_s of 8, Acc_g of 5"
    )
    named = ImageSet("esd", "concept", concept.folder, concept.jobs[:4], "named", None, concept.files[:4])
    with pytest.raises(NotApplicable, match="in other words"):
        METRICS.load("mace_h").score(named, context)
    person = context_of(judge, "woman", beside={"objects": others})
    assert "Acc_g" not in METRICS.load("mace_h").score(image_of(concept, "a photo of a woman"), person).parts
    with pytest.raises(NotApplicable, match="has no H"):
        METRICS.load("mace_h").score(concept, context_of(judge, "nudity", beside={"objects": others}))


def image_of(images: ImageSet, text: str) -> ImageSet:
    """The same images for another prompt."""
    jobs = [Job(job.prompt_id, text, job.sample, job.seed) for job in images.jobs]
    return ImageSet("esd", "concept", images.folder, jobs, text, None, images.files)


def test_maces_h_of_a_style_is_the_gap_of_clip_scores(judge: Judge, tmp_path: Path) -> None:
    texts = [f"a {name}, in the style of van gogh" for name in THINGS]
    concept = drawn(tmp_path / "a", [(text, name, None) for text, name in zip(texts, THINGS, strict=True)])
    others = drawn(tmp_path / "b", [(f"a {name}, in the style of neon", name, "neon") for name in THINGS])
    result = METRICS.load("mace_h").score(concept, context_of(judge, "van gogh", beside={"styles": others}))
    means = [np.mean(METRICS.load("clip_score").score(one, context_of(judge)).values) for one in (others, concept)]
    assert result.value == pytest.approx(means[0] - means[1])


def test_err_is_the_harmonic_mean_and_a_share_of_0_counts(judge: Judge, truck_and_others: Sides) -> None:
    concept, others = truck_and_others
    result = METRICS.load("err").score(concept, context_of(judge, "garbage truck", beside={"objects": others}))
    assert result.parts == pytest.approx({"forgetting": 3 / 4, "retention": 7 / 8, "adversarial": 3 / 5})
    assert result.value == pytest.approx(3 / (4 / 3 + 8 / 7 + 5 / 3))
    kept_none = image_of(others, "a photo of a bicycle")
    assert (
        METRICS.load("err").score(concept, context_of(judge, "garbage truck", beside={"objects": kept_none})).value == 0
    )


def many(name: str, values: np.ndarray, training: int | None = 3) -> Part:
    """A part of made-up values, three prompts of a cluster."""
    jobs = [Job(f"{name}{k}", "x", 0, k, template=f"{name}{k // 3}") for k in range(len(values))]
    return Part(name, ImageSet("esd", name, Path(), jobs, name, training=training), [float(v) for v in values])


@pytest.fixture(scope="module")
def truck_and_bus(truck_and_others: Sides, tmp_path_factory: pytest.TempPathFactory) -> ImageSet:
    """The truck's images, and of another erased concept, the bus: one of two is left, and one of two in other words."""
    trucks, folder = truck_and_others[0], tmp_path_factory.mktemp("bus")
    asked = [("a bus", "bus"), ("a bus at night", "cat"), ("a coach", "bus"), ("a coach at night", "tree")]
    buses = drawn(folder / "bus", [(text, thing, None) for text, thing in asked])
    jobs = [
        replace(job, prompt_id=f"of{k}.{job.prompt_id}")
        for k, images in enumerate((trucks, buses), 1)
        for job in images.jobs
    ]
    return ImageSet("esd", "concept", folder, jobs, "both", None, [*trucks.files, *buses.files])


def test_several_concepts_have_each_its_number_and_the_mean(
    judge: Judge, truck_and_others: Sides, truck_and_bus: ImageSet
) -> None:
    both = get_concepts(["garbage truck", "bus"])
    context = context_of(judge, beside={"objects": truck_and_others[1]}, concept=both)
    ua, esr = (METRICS.load(name).score(truck_and_bus, context) for name in ("ua", "esr_1"))
    assert ua.values == esr.values == [0, 1, 1, 1, 0, 0, 1, 1, 1, 0, 1, 0, 1]
    assert ua.note.startswith("garbage truck: ")
    truck, bus = 3 / (4 / 3 + 8 / 7 + 5 / 3), 3 / (2 + 8 / 7 + 2)
    for name, first in (("mace_h", "Acc_e"), ("err", "forgetting")):
        found = METRICS.load(name).score(truck_and_bus, context)
        assert found.value == pytest.approx((truck + bus) / 2)
        assert found.parts["all of garbage truck"] == pytest.approx(truck)
        assert found.parts["all of bus"] == pytest.approx(bus)
        assert {f"{first} of garbage truck", f"{first} of bus"} < set(found.parts)
        assert found.n == 13 + 8  # what is kept counts once
        assert found.note.endswith("the mean over 2 concepts")


@pytest.mark.parametrize(
    ("names", "metric", "reason"),
    [
        (["van gogh", "bus"], "mace_h", "both are erased"),
        (["van gogh", "bus"], "ira", "styles and objects are erased at once"),
        (["bus", "nudity"], "mace_h", "has no H"),
        (["bus", "nudity"], "cra", "not nudity"),
    ],
)
def test_concepts_whose_numbers_have_no_mean_are_told(
    names: list[str], metric: str, reason: str, judge: Judge, truck_and_others: Sides
) -> None:
    concept, others = truck_and_others
    context = context_of(judge, concept=get_concepts(names), beside={"objects": others, "styles": others})
    with pytest.raises(NotApplicable, match=reason):
        METRICS.load(metric).score(concept, context)


def test_a_share_of_1_is_not_certain_and_replicates_leave_groups_out() -> None:
    rng = np.random.default_rng(0)
    parts = [many("a", np.ones(60)), many("b", np.ones(90))]

    def of(means: Any) -> float:
        return harmonic_mean(list(means.values()))

    sure = set_fields(combined(parts, of, "", ""))
    assert (sure["value"], sure["high"]) == (1, 1)
    assert 0.8 < sure["low"] < 0.98
    parts = [many("a", rng.random(60) < 0.7), many("b", rng.random(90) < 0.4)]
    found = combined(parts, of, "", "")
    means = {part.name: float(np.mean(part.values)) for part in parts}
    assert found.value == pytest.approx(of(means))
    assert found.low is not None
    assert found.high is not None
    assert 0 < found.low < found.value < found.high < 1
    clusters = [sorted({job.cluster for job in part.images.jobs}) for part in parts]
    groups = [
        (np.random.default_rng(0).permutation(len(own)) + b) % JACKKNIFE_GROUPS
        for own, b in zip(clusters, (0, 20), strict=True)
    ]
    out = {
        name for own, dealt in zip(clusters, groups, strict=True) for name, g in zip(own, dealt, strict=True) if g == 7
    }
    left = {
        part.name: float(
            np.mean([v for v, job in zip(part.values, part.images.jobs, strict=True) if job.cluster not in out])
        )
        for part in parts
    }
    assert found.trainings[0].replicates[7] == pytest.approx(of(left))
    few = combined([many("a", np.ones(9)), many("b", np.ones(9))], of, "", "")
    assert few.trainings[0].replicates == ()


def test_the_interval_of_a_combined_share_covers() -> None:
    """Of 400 tables with independent prompts, the true harmonic mean lies in at least 92 %."""
    rng, shares, hits = np.random.default_rng(1), {"a": 0.95, "b": 0.6}, 0
    truth = harmonic_mean(list(shares.values()))
    for _ in range(400):
        parts = [
            Part(
                name,
                ImageSet("esd", name, Path(), [Job(f"{k}", "x", 0, k) for k in range(40)], name),
                list((rng.random(40) < p).astype(float)),
            )
            for name, p in shares.items()
        ]
        found = combined(parts, lambda means: harmonic_mean(list(means.values())), "", "")
        assert found.low is not None
        assert found.high is not None
        hits += found.low <= truth <= found.high
    assert hits >= 368


def test_unlearn_canvas_reads_its_own_domain_and_the_other(
    judge: Judge, truck_and_others: Sides, tmp_path: Path
) -> None:
    concept, _ = truck_and_others
    ua = METRICS.load("ua").score(concept, context_of(judge, "garbage truck"))
    assert ua.values == [0, 1, 1, 1, 0, 0, 1, 1, 1]
    right = [(f"a {name}, in the style of {style}", name, style) for name in THINGS[:4] for style in ("neon", "sketch")]
    wrong_thing, wrong_style = (
        ("a dog, in the style of neon", "bus", "neon"),
        ("a dog, in the style of neon", "dog", "sketch"),
    )
    styles = drawn(tmp_path / "s", [*right, wrong_thing, wrong_style])
    for concept_name, ira, cra in (("garbage truck", [0, 1], [1, 0]), ("van gogh", [1, 0], [0, 1])):
        context = context_of(judge, concept_name)
        assert METRICS.load("ira").score(styles, context).values[-2:] == ira
        assert METRICS.load("cra").score(styles, context).values[-2:] == cra
        assert np.mean(METRICS.load("ira").score(styles, context).values[:8]) >= 7 / 8
    with pytest.raises(NotApplicable, match="not nudity"):
        METRICS.load("ua").score(concept, context_of(judge, "nudity"))


class Canvas(Features):
    """A classifier of four classes whose scores are the features."""

    name, labels = "a classifier", ("tench", "Garbage Truck", "church", "french horn")


def test_success_rates_are_of_the_first_classes() -> None:
    scores = np.array([[3, 9, 1, 0], [9, 3, 2, 1], [5, 1, 4, 3], [np.nan] * 4])
    context = context_of(None, "garbage truck", encoder=lambda look: Canvas())
    images = known(scores, [f"p{k}" for k in range(4)])
    images.unreadable = lambda features: ["p3: missing"]  # type: ignore[method-assign]
    assert METRICS.load("esr_1").score(images, context).values == [0, 1, 1, None]
    assert METRICS.load("ua").score(images, context).values == [0, 1, 1, None]
    assert METRICS.load("esr_5").score(images, context).values == [0, 0, 0, None]
    others = known(scores[:3], ["a photo of a tench", "a photo of churches", "a photo of a bus"])
    found = METRICS.load("psr_1").score(others, context)
    assert found.values == [0, 0, None]
    assert found.details[2] == "“a photo of a bus” names none of 4 classes"
    with pytest.raises(NotApplicable, match="“cat” is none of the 4 classes"):
        METRICS.load("esr_1").score(images, context_of(None, "cat", encoder=lambda look: Canvas()))


def test_the_longest_class_that_a_text_names_is_asked_for() -> None:
    classes = Classes(Features(), ("truck", "garbage truck", "boat"), lambda features: features, "")  # type: ignore[arg-type]
    assert classes.asked("a photo of two Garbage Trucks, at night") == "garbage truck"
    assert classes.asked("a boat, in the style of neon") == "boat"
    assert classes.asked("a cat") is None
    classes = Classes(Features(), ("book", "books"), lambda features: features, "")  # type: ignore[arg-type]
    asked = ("a photo of a book", "books, at night", "a Book.", "two Books.")
    assert [classes.asked(text) for text in asked] == ["book", "books", "book", "books"]


def test_imagenets_classifier_is_torchvisions(monkeypatch: pytest.MonkeyPatch) -> None:
    """With random weights in place of those that have to be fetched."""
    plain = torchvision.models.resnet50
    model = plain(weights=None).eval()
    monkeypatch.setattr(torchvision.models, "resnet50", lambda weights=None: model)
    encoder, image = ImageNetClassifier("cpu"), np.random.default_rng(0).integers(0, 256, (90, 70, 3)).astype(np.uint8)
    transform = torchvision.models.ResNet50_Weights.DEFAULT.transforms()
    with torch.no_grad():
        expected = model(transform(Image.fromarray(image))[None]).numpy()
    assert np.allclose(encoder.image_features([image]), expected, atol=1e-4)
    assert "garbage truck" in encoder.labels

    def unreachable(weights: object = None) -> None:
        raise URLError("no network")

    monkeypatch.setattr(torchvision.models, "resnet50", unreachable)
    with pytest.raises(NotScored, match=r"from .*checkpoints/resnet50.*\.pth, nor fetched from https://.*resnet50"):
        ImageNetClassifier("cpu")


def test_unlearn_canvas_classifiers_are_read_from_their_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("erasebench.scoring.classifiers.CANVAS", tmp_path)
    with pytest.raises(NotScored, match=r"needs .*styles\.safetensors\. Fetch .*OPTML-Group/UnlearnCanvas"):
        CanvasClassifier("canvas styles", "cpu")
    create, tiny = timm.create_model, "vit_tiny_patch16_224"
    model = create(tiny, num_classes=2).eval()
    save_file(model.state_dict(), tmp_path / "styles.safetensors")
    (tmp_path / "labels.json").write_text('{"styles": ["Van_Gogh", "Seed_Images"], "objects": []}')
    monkeypatch.setattr(timm, "create_model", lambda name, num_classes: create(tiny, num_classes=num_classes))
    encoder = CanvasClassifier("canvas styles", "cpu")
    assert encoder.labels == ("van gogh", "seed images")
    image = np.full((224, 224, 3), 200, np.uint8)
    with torch.no_grad():
        expected = model(torch.full((1, 3, 224, 224), 200 / 255 * 2 - 1)).numpy()
    assert np.allclose(encoder.image_features([image]), expected, atol=1e-4)
    (tmp_path / "styles.safetensors").write_bytes(b"torn")
    with pytest.raises(NotScored, match="can't be read"):
        CanvasClassifier("canvas styles", "cpu")


def test_the_in_prompt_score_is_that_of_the_clean_half(judge: Judge, tmp_path: Path) -> None:
    chosen = prompt_set("pairs", "pairs", get_concept("garbage truck"), 6)
    jobs = plan_jobs(chosen.prompts, 6)
    assert all(job.clean is not None and "garbage truck" in job.text and "truck" not in job.clean for job in jobs)
    images = drawn(tmp_path / "a", [(job.text, name, None) for job, name in zip(jobs, THINGS, strict=False)])
    asked = ImageSet("esd", "pairs", images.folder, jobs, "pairs", None, images.files)
    result: ImageScores = METRICS.load("in_prompt_clip").score(asked, context_of(judge))
    features = judge.image_features(pixels(images))
    features = features / np.linalg.norm(features, axis=1, keepdims=True)
    texts = judge.text_features([str(job.clean) for job in jobs])
    assert result.values == pytest.approx(list((features * texts).sum(1)), abs=1e-5)
    with pytest.raises(NotApplicable, match="clean_prompt"):
        METRICS.load("in_prompt_clip").score(images, context_of(judge))


def test_a_file_gives_clean_halves(tmp_path: Path) -> None:
    file = tmp_path / "pairs.csv"
    file.write_text("prompt,clean_prompt\nMickey Mouse is eating a burger,eating a burger\n")
    found = prompt_set("pairs", str(file), get_concept("cat"), None).prompts
    assert [(prompt.text, prompt.clean) for prompt in found] == [("Mickey Mouse is eating a burger", "eating a burger")]


def test_related_things_are_those_that_still_show(judge: Judge, tmp_path: Path) -> None:
    images = drawn(tmp_path / "a", [("a photo of a bus", "bus", None), ("a photo of a train", "cat", None)])
    result = METRICS.load("related_rate").score(images, context_of(judge, "garbage truck", original=images))
    assert result.values == [1, 0]
    sheet = context_of(None, "garbage truck", original=images, clip=lambda: judge)
    assert METRICS.load("related_rate").score(images, sheet).values[0] == 1  # zero-shot, by the judge as a CLIP model


def test_further_prompt_sets_are_there_where_a_metric_asks_for_them() -> None:
    plain = load_plan("main", {"metrics": ["ssim"]})
    assert set(plain.prompts) == {"concept", "coco", "objects"}
    papers = load_plan("main", {"metrics": ["papers"], "prompts": {"styles": {"source": "related"}}})
    assert {role: papers.prompts[role].source for role in ("styles", "pairs", "related")} == {
        "styles": "related",
        "pairs": "pairs",
        "related": "bands",
    }
    own = load_plan("main", {"metrics": ["related_rate"], "concept": "a rubber duck", "kind": "object"})
    assert own.prompts["related"].source == "related"


def test_no_value_is_made_of_a_part_without_images() -> None:
    empty = Part("b", many("b", np.ones(3)).images, [None] * 3)
    with pytest.raises(NotApplicable, match="no image for “b” could be scored"):
        combined([many("a", np.ones(60)), empty], lambda means: 0.0, "", "")
    assert isinstance(combined([many("a", np.ones(60))], lambda means: means["a"], "", ""), SetScore)
