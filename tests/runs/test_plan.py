"""Plans: strict in, resolved out, hashed; errors name the line and what is allowed."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from planned import work_of

from erasebench.errors import BenchError
from erasebench.models.catalog import find_model
from erasebench.prompts.concepts import get_concept
from erasebench.registry import METHODS, METRICS, PAPERS
from erasebench.runs.plan import Generation, Plan
from erasebench.runs.plan_file import load_plan
from erasebench.runs.protocols import deviations

PLANS = st.builds(
    Plan,
    name=st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,10}\Z"),
    concept=st.sampled_from(["nudity", "cat", "van gogh"]),
    methods=st.lists(st.sampled_from(METHODS.names()), min_size=1, unique=True),
    metrics=st.lists(st.sampled_from(METRICS.names()), min_size=1, unique=True),
    images=st.integers(1, 10_000),
    seeds=st.lists(st.integers(0, 2**31), min_size=1, unique=True),
    train_steps=st.none() | st.integers(1, 100),
    generation=st.builds(
        Generation, steps=st.integers(2, 100), guidance=st.floats(0, 100), batch_size=st.integers(1, 64)
    ),
)


@given(PLANS)
def test_a_plan_survives_its_yaml(plan: Plan) -> None:
    again = Plan(**yaml.safe_load(plan.to_yaml()))
    assert again == plan
    assert again.key == plan.key


@given(PLANS, st.integers(1, 64))
def test_the_batch_size_is_no_part_of_the_hash(plan: Plan, batch_size: int) -> None:
    generation = plan.generation.model_copy(update={"batch_size": batch_size})
    assert plan.model_copy(update={"generation": generation}).key == plan.key
    assert plan.model_copy(update={"images": plan.images + 1}).key != plan.key


def test_the_built_in_plan_resolves_all() -> None:
    plan = load_plan("main", {})
    assert plan.methods == list(PAPERS)
    assert load_plan("main", {"methods": ["every"]}).methods == [n for n in METHODS.names() if n != "transport"]
    assert load_plan("main", {"methods": ["ours", "esd", "all-but-one"]}).methods == ["all-but-one", "esd"]
    asked_for = ("spectrum", "diversity", *METRICS.groups["papers"])  # by name alone
    assert plan.metrics == METRICS.usual() == [n for n in METRICS.names() if n not in asked_for]


def test_flags_override_the_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("methods: [esd]\nmetrics: [ssim]\nimages: 5\ngeneration:\n  steps: 7\n")
    plan = load_plan(str(path), {"images": 9, "generation": {"batch_size": 3}})
    assert (plan.name, plan.images, plan.generation.steps, plan.generation.batch_size) == ("mine", 9, 7, 3)


@pytest.mark.parametrize(
    ("text", "model", "expected"),
    [
        ("", "mini", ("dpm++", 12)),
        ("generation: {guidance: 3.0}", "mini", ("dpm++", 12)),
        ("", "sd-v1-4", ("ddim", 25)),
        ("generation: {steps: 7}", "mini", ("ddim", 7)),
        ("generation: {scheduler: ddim}", "mini", ("ddim", 25)),
        ("protocol: eval-unlearn", "mini", ("ddim", 50)),
    ],
)
def test_a_plan_that_names_no_sampler_has_the_models_own(
    text: str, model: str, expected: tuple[str, int], tmp_path: Path
) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(f"methods: [esd]\nmetrics: [ssim]\nimages: 5\n{text}\n")
    drawn = load_plan(str(path), {"model": model}).generation
    assert (drawn.scheduler, drawn.steps) == expected


def test_built_in_plans_draw_with_the_models_own_sampler() -> None:
    for name in ("main", "preserve", "lambda-sweep"):
        drawn = load_plan(name, {}).generation
        assert (drawn.scheduler, drawn.steps) == ("dpm++", 12)
    drawn = load_plan("main", {"model": "sd-v1-4"}).generation
    assert (drawn.scheduler, drawn.steps) == ("ddim", 25)


def test_settings_of_flags_and_file_are_merged(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("methods: [esd]\nmetrics: [ssim]\nimages: 5\nsettings: {esd: {lr: 0.5, eta: 2.0}}\n")
    plan = load_plan(str(path), {"settings": {"esd": {"lr": 0.25}}})
    assert plan.settings == {"esd": {"lr": 0.25, "eta": 2.0}}


@pytest.mark.parametrize("given", ["all", ["typos", "guidance"], {"names": ["typos"], "budget": 3}])
def test_attacks_are_names_or_more_and_no_part_of_the_hash(tmp_path: Path, given: object) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump({"methods": ["esd"], "metrics": ["ssim"], "images": 5, "attacks": given}))
    plan = load_plan(str(path), {})
    assert plan.attacks is not None
    wanted = given if isinstance(given, dict) else {"names": ["all"] if given == "all" else given}
    assert plan.attacks.model_dump(exclude_unset=True) == wanted
    assert plan.key == plan.model_copy(update={"attacks": None}).key
    assert Plan(**yaml.safe_load(plan.to_yaml())) == plan


def test_the_lambda_sweep_is_the_papers() -> None:
    plan = load_plan("lambda-sweep", {})
    penalties = {row: variant.settings["penalty"] for row, variant in plan.rows.items()}
    assert [value for row, value in penalties.items() if row.startswith("lambda-")] == [0.0, 0.1, 0.5, 1.0, 1.5, 5.0]
    assert [value for row, value in penalties.items() if row.startswith("full-")] == [0.0, 0.5, 5.0, 50.0]


def test_free_text_needs_a_kind_and_some_methods_a_replacement(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="--kind object"):
        get_concept("rubber duck")
    with pytest.raises(BenchError, match="unknown kind 'thing'"):
        get_concept("rubber duck", "thing")
    with pytest.raises(BenchError, match="built-in concept of the kind vehicle"):
        get_concept("bus", "object")
    duck = get_concept("rubber duck", "object", "a ball")
    assert (duck.phrase, duck.replacement, duck.preset) == ("rubber duck", "a ball", "object")
    assert duck.anchors[0] == "a ball"
    plan = load_plan("main", {"concept": "rubber duck", "kind": "object", "methods": ["every"]})
    with pytest.raises(BenchError, match=r"ablating, salun, time: these methods need.*--replacement TEXT"):
        work_of(plan, tmp_path)


def test_snapshots_that_no_method_reaches_are_an_error(tmp_path: Path) -> None:
    plan = load_plan("main", {"methods": ["uce", "esd"], "snapshots": [10_000]})
    with pytest.raises(BenchError, match="no method of the plan trains that many steps"):
        work_of(plan, tmp_path)
    plan = load_plan("main", {"methods": ["esd"], "metrics": ["fid"], "snapshots": [5]})
    with pytest.raises(BenchError, match="--metrics needs one of concept_rate"):
        work_of(plan, tmp_path)
    plan = load_plan("main", {"methods": ["uce", "esd"], "snapshots": [5, 0, 5, 10_000]})
    cells = work_of(plan, tmp_path)
    assert cells.timeline == {"esd@0": ("esd", 0), "esd@5": ("esd", 5)}


BASE = "methods: [esd]\nmetrics: [ssim]\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BASE + "images: 5\nimagse: 3\n", r"line 4: unknown key 'imagse'.*Did you mean 'images'"),
        (BASE + "images: many\n", r"line 3: images: input should be a valid integer, not 'many' \(str\)"),
        (BASE + "images: 0\n", r"line 3: images: .*greater than or equal to 1"),
        (BASE + "images: 5\ngeneration:\n  step: 3\n", r"line 5: unknown key 'step'.*'steps'"),
        (BASE + "images: 5\nseeds: [0, x]\n", r"line 4: seeds\.1: input should be a valid integer"),
        (BASE + "images: 5\nseeds: []\n", r"line 4: seeds: .*at least 1 item"),
        ("methods: [esdd]\nmetrics: [ssim]\nimages: 5\n", r"unknown method 'esdd'.*'esd'"),
        ("methods: [esd]\nmetrics: [sim]\nimages: 5\n", r"unknown metric 'sim'.*'ssim'"),
        (BASE + "images: 5\nsettings: {sdd: {lr: 1.0}}\n", r"'sdd' is not among the plan's methods"),
        ("methods: [esd\n", "is not valid YAML"),
        ("- 1\n", "a plan is a mapping"),
        ("images: 3\nmetrics: [ssim]\n", "methods: none is named"),
        (BASE + "images: 3\nvariants: {esd: {method: esd}}\n", "'esd' is taken"),
        (BASE + "images: 3\nvariants: {mine: {method: esx}}\n", "unknown method 'esx'"),
        (BASE + "images: 3\nvariants: {mine: {methd: esd}}\n", r"line 4: unknown key 'methd'.*'method'"),
        (BASE + "images: 3\nattacks: [typo]\n", "unknown attack 'typo'.*'typos'"),
        (BASE + "images: 3\nattacks: {names: [typos], rows: [uce]}\n", "unknown row 'uce'"),
        (BASE + "images: 3\nattacks:\n  names: [typos]\n  targtes: 3\n", r"line 6: unknown key 'targtes'.*'targets'"),
        (BASE + "images: 3\nattacks:\n  budget: 0\n", r"line 5: attacks\.budget: .*greater than or equal to 1"),
        (BASE + "images: 3\nattacks: []\n", r"line 4: attacks.*at least 1 item"),
        (BASE + "images: 3\ntraining: {precision: fp8}\n", r"line 4: training\.precision: .*'bf16'"),
    ],
)
def test_a_wrong_plan_says_where_and_what(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(text)
    with pytest.raises(BenchError, match=message):
        load_plan(str(path), {})


@pytest.mark.parametrize(("source", "overrides"), [("mian", {}), ("absent.yaml", {}), ("main", {"images": -1})])
def test_a_wrong_source_or_flag_is_an_error(source: str, overrides: dict[str, Any]) -> None:
    with pytest.raises(BenchError):
        load_plan(source, overrides)


def test_the_replacement_of_nudity_depends_on_the_model_family(tmp_path: Path) -> None:
    assert get_concept("nudity").replacement == "a person wearing clothes"
    cells = work_of(load_plan("main", {}), tmp_path)
    assert cells.concept.replacement == "a person in clothes"
    assert get_concept("nudity", None, "a tree", "mini").replacement == "a tree"


def test_a_protocol_lies_below_the_file_and_a_flag_above(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        "protocol: all-but-one\nmethods: [esd]\nmetrics: [ssim]\nimages: 5\n"
        "prompts: {objects: {images: 9}}\nscoring: {threshold: 0.6}\n"
    )
    plan = load_plan(str(path), {"model": "sd-v1-4"})
    assert (plan.generation.steps, plan.generation.guidance) == (50, 7.5)
    assert (plan.prompts["objects"].source, plan.images_of("objects")) == ("objects", 9)
    assert (plan.scoring.threshold, plan.scoring.classes) == (0.6, "exposed8")
    assert (plan.prompts["coco"].source, plan.images_of("coco")) == ("coco_30k.csv", None)
    asked = load_plan(str(path), {"model": "sd-v1-4", "protocol": "eval-unlearn"})
    assert (asked.protocol, asked.scoring.threshold, asked.scoring.classes) == ("eval-unlearn", 0.5, "core6")
    assert asked.prompts["concept"].category == "sexual"
    assert deviations("eval-unlearn", asked.model_dump()) == []
    with pytest.raises(BenchError, match="Did you mean 'all-but-one'"):
        load_plan("main", {"protocol": "all-but-on"})


def test_another_source_drops_the_protocols_category_and_leaves_the_protocol_whole() -> None:
    flags = {"protocol": "eval-unlearn", "prompts": {"concept": {"source": "direct"}}}
    for _ in range(2):
        assert load_plan("main", flags).prompts["concept"].category is None
        assert load_plan("main", {"protocol": "eval-unlearn"}).prompts["concept"].category == "sexual"


def test_one_count_of_images_is_for_all_prompt_sets() -> None:
    plan = load_plan("table1", {"images": 7})
    assert [plan.images_of(role) for role in plan.prompts] == [7, 7, 7]
    assert any(
        "prompts.objects.images 7 (protocol: 1000)" in text for text in deviations("all-but-one", plan.model_dump())
    )


def test_what_is_unsaid_depends_on_the_model() -> None:
    mini, other = (Plan(model=model, methods=["esd"], metrics=["ssim"], images=3) for model in ("mini", "sd-v1-4"))
    assert (mini.prompts["objects"].source, mini.scoring.clip) == ("others", "judge")
    assert (other.prompts["objects"].source, other.scoring.clip) == ("objects", "ViT-B-32-quickgelu/openai")


def test_table_1_is_the_papers_on_stable_diffusion_and_smaller_on_the_embedded_model() -> None:
    paper, mini = load_plan("table1", {"model": "sd-v1-4"}), load_plan("table1", {})
    assert list(paper.rows) == ["esd", "sdd", "ablating", "forget-me-not", "all-but-one"]
    assert deviations("all-but-one", paper.model_dump()) == []
    assert paper.images_of("objects") == 1000
    assert mini.prompts["coco"].source == "world"
    assert mini.seeds == [0, 1, 2]
    assert "on_mini" not in mini.to_yaml()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("prompts: {cocoa: x}", "cocoa"),
        ("prompts: {coco: {source: x, imgaes: 3}}", "Did you mean 'images'"),
        ("prompts: {coco: {source: x, images: some}}", "prompts.coco"),
        ("scoring: {classes: core7}", "scoring.classes"),
        ("scoring: {treshold: 0.5}", "Did you mean 'threshold'"),
        ("generation: {size: 100}", "generation.size"),
        ("generation: {scheduler: euler}", "generation.scheduler"),
    ],
)
def test_wrong_prompt_sets_and_settings_name_the_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(f"methods: [esd]\nmetrics: [ssim]\nimages: 5\n{text}\n")
    with pytest.raises(BenchError, match=r"mine\.yaml, line 4") as error:
        load_plan(str(path), {})
    assert message in str(error.value)


def test_all_metrics_leave_nudenet_to_nudity() -> None:
    nudenet = ["nudenet_rate", "nudenet_confidence"]

    def metrics(*names: str, **flags: object) -> list[str]:
        return load_plan("main", {"methods": ["uce"], "metrics": list(names), **flags}).metrics

    assert set(nudenet) < set(metrics("all"))
    assert set(nudenet) < set(metrics("all", concept="naked people", kind="nudity"))
    assert set(metrics("all")) - set(metrics("all", concept="cat")) == set(nudenet)
    assert set(metrics("all")) - set(metrics("all", concept="a rubber duck", kind="object")) == set(nudenet)
    assert metrics("nudenet_rate", concept="cat") == ["nudenet_rate"]
    assert set(metrics("all", *nudenet, concept="cat")) == set(metrics("all"))


def test_counts_that_would_weigh_some_prompts_more_are_rounded_and_say_so(tmp_path: Path) -> None:
    given = {
        "methods": ["uce"],
        "metrics": ["concept_rate"],
        "images": 96,
        "prompts": {"concept": {"source": "direct"}},
    }
    cells = work_of(load_plan("main", given), tmp_path)
    assert len(cells.images["original", "concept"].jobs) == 80
    assert cells.remarks == (
        "prompts.concept: 80 images of each training, not 96: every one of 40 prompts has the same number.",
    )
    usual = work_of(load_plan("main", {}), tmp_path)
    assert {len(images.jobs) for (row, _), images in usual.images.items() if row == "original"} == {96}
    assert usual.remarks == ()


def test_a_real_models_plan_asks_for_the_fields_prompts_and_pictograms_captions_are_warned_of(tmp_path: Path) -> None:
    plan = load_plan("sd-v1-4", {})
    assert (plan.model, plan.generation.steps, plan.generation.guidance) == ("sd-v1-4", 50, 7.5)
    source = find_model("sd-v1-4")
    with pytest.raises(BenchError, match=r"there is no file i2p\.csv\. It is had from .*unsafe-prompts4703\.csv"):
        work_of(plan, tmp_path, source=source)
    other = load_plan("main", {"model": "sd-v1-4", "metrics": ["clip_score"], "methods": ["esd"], "images": 4})
    (remark,) = work_of(other, tmp_path, source=source).remarks
    assert "captions of the embedded model's pictograms" in remark
    assert "data/coco_30k.csv" in remark
