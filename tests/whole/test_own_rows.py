"""Weights that somebody made, as rows of a run beside the method that made them."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from erasebench.cli.app import main
from erasebench.cli.run import rows_of
from erasebench.engine.export import export
from erasebench.engine.run import run
from erasebench.errors import BenchError
from erasebench.models.catalog import MINI_WEIGHTS, find_model
from erasebench.models.loading import load_model
from erasebench.models.patch import weights_of
from erasebench.runs.folder import RunFolder
from erasebench.runs.plan import Generation, Plan, Variant
from erasebench.runs.plan_file import load_plan

OWN = ("patch", "folder", "unet", "esd-x", "part")
WIDTH = json.loads((MINI_WEIGHTS / "pipeline/text_encoder/config.json").read_text())["hidden_size"]  # of its texts


def plan_of(paths: dict[str, Path]) -> Plan:
    return Plan(
        name="own",
        concept="garbage truck",
        methods=["uce"],
        variants={name: Variant(path=str(path)) for name, path in paths.items()},
        metrics=["concept_rate", "ssim", "train_steps", "train_seconds"],
        images=2,
        generation=Generation(steps=2, precision="fp32", batch_size=2),
    )


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    folder = RunFolder(tmp_path_factory.mktemp("run") / "first")
    assert run(plan_of({}), folder, "cpu") == ()
    return folder


def test_a_brought_row_has_the_scores_of_the_method_that_made_it(first: RunFolder, tmp_path: Path) -> None:
    """As a patch, an exported pipeline, its UNet, all its cross-attention and what changed; its costs are not known."""
    exported = export(first, "uce", tmp_path / "exported")
    whole = load_file(exported / "unet" / "diffusion_pytorch_model.safetensors")
    save_file({name: value for name, value in whole.items() if "attn2" in name}, tmp_path / "esd-x.safetensors")
    part = tmp_path / "part.safetensors"
    save_file({f"unet.{name}": value for name, value in load_file(first.patch("uce", 0)).items()}, part)
    paths = {"patch": first.patch("uce", 0), "folder": exported, "unet": exported / "unet", "part": part}
    paths["esd-x"] = tmp_path / "esd-x.safetensors"
    folder = RunFolder(tmp_path / "run")
    assert run(plan_of(paths), folder, "cpu", store=first.store) == ()
    for row in OWN:
        assert load_file(folder.patch(row, 0)).keys() == load_file(folder.patch("uce", 0)).keys()
        for metric in ("concept_rate", "ssim"):
            mine, theirs = (json.loads(folder.score(name, metric).read_text()) for name in (row, "uce"))
            assert mine["values"] == theirs["values"]
            assert mine["value"] == theirs["value"] is not None
        assert json.loads(folder.score(row, "train_steps").read_text())["value"] is None
        assert json.loads(folder.erasure(row, 0).read_text())["differs"]["group"] == "xattn-kv"
    table = folder.table("md").read_text(encoding="utf-8")
    assert table.count("not known") >= len(OWN)
    assert "of unet (xattn-kv), relative size" in table
    card = (export(folder, "part", tmp_path / "again") / "README.md").read_text(encoding="utf-8")
    assert "it differs from mini" in card
    again = load_file(tmp_path / "again" / "unet" / "diffusion_pytorch_model.safetensors")
    assert all((again[name] == value).all() for name, value in whole.items())


def test_a_lora_of_full_rank_draws_the_methods_images(first: RunFolder, tmp_path: Path) -> None:
    """To a grey level: its matrices multiply to what the method changed but for rounding."""
    before, lora = weights_of(load_model(find_model("mini"), "cpu")), {}
    for name, value in load_file(first.patch("uce", 0)).items():
        u, s, v = torch.linalg.svd((value - before[name]).double(), full_matrices=False)
        module = f"unet.{name.removesuffix('.weight')}"
        lora[f"{module}.lora_A.weight"] = (s[:, None] * v).float().contiguous()
        lora[f"{module}.lora_B.weight"] = u.float().contiguous()
    save_file(lora, tmp_path / "lora.safetensors")
    folder = RunFolder(tmp_path / "run")
    assert run(plan_of({"mine": tmp_path / "lora.safetensors"}), folder, "cpu", store=first.store) == ()
    original, theirs, mine = (
        np.stack([np.asarray(Image.open(file), int) for file in sorted(folder.images(row, "concept").rglob("*.png"))])
        for row in ("original", "uce", "mine")
    )
    assert len(mine) == 2
    assert np.abs(mine - theirs).max() <= 1 < np.abs(original - theirs).max()


def test_a_guide_samples_with_brought_weights_as_with_trained_ones(first: RunFolder, tmp_path: Path) -> None:
    path = str(first.patch("uce", 0))
    pairs = {
        "mine": Variant(path=path),
        "mine+sld": Variant(path=path, guide="sld", guide_settings={"recipe": "max"}),
        "uce+sld": Variant(method="uce", guide="sld", guide_settings={"recipe": "max"}),
    }
    folder = RunFolder(tmp_path / "run")
    assert run(plan_of({}).model_copy(update={"variants": pairs}), folder, "cpu", store=first.store) == ()
    values = {row: json.loads(folder.score(row, "ssim").read_text())["value"] for row in pairs}
    assert values["mine"] != values["mine+sld"] == values["uce+sld"]
    table = folder.table("md").read_text(encoding="utf-8")
    assert "mine is a UNet" in table
    assert "mine + SLD is a UNet" in table
    assert "mine + SLD changes weights and how images are sampled: 3 UNet forwards" in table
    with pytest.raises(BenchError, match="drawn with sld"):
        export(folder, "mine+sld", tmp_path / "model")
    wrong = plan_of({}).model_copy(update={"variants": {"mine": Variant(path=path, guide="esd")}})
    with pytest.raises(BenchError, match="mine: esd changes weights itself"):
        run(wrong, RunFolder(tmp_path / "wrong"), "cpu", store=first.store)
    both = {"concepts": ["nudity", "garbage truck"], "variants": {"mine": Variant(path=path, guide="safree")}}
    several = plan_of({}).model_copy(update=both)
    with pytest.raises(BenchError, match="mine: SAFREE erases one concept at a time"):
        run(several, RunFolder(tmp_path / "several"), "cpu", store=first.store)


def test_a_textual_inversion_stands_in_the_place_of_a_guides_text(first: RunFolder, tmp_path: Path) -> None:
    """With the vectors that "garbage truck" has its row is the guide's own."""
    model = load_model(find_model("mini"), "cpu")
    ids = model.tokenizer("garbage truck").input_ids[1:-1]
    vectors = model.text_encoder.get_input_embeddings().weight[ids].detach()
    path = tmp_path / "word.safetensors"
    save_file({"<truck>": vectors.contiguous()}, path)
    pairs = {
        "mine": Variant(path=str(path)),
        "away": Variant(method="negative-prompt"),
        "mine+sld": Variant(path=str(path), guide="sld", guide_settings={"recipe": "max"}),
        "max": Variant(method="sld", settings={"recipe": "max"}),
    }
    folder = RunFolder(tmp_path / "run")
    plan = plan_of({}).model_copy(update={"variants": pairs, "methods": []})
    assert run(plan, folder, "cpu", store=first.store) == ()
    for own, other in (("mine", "away"), ("mine+sld", "max")):
        for metric in ("concept_rate", "ssim"):
            mine, theirs = (json.loads(folder.score(row, metric).read_text()) for row in (own, other))
            assert mine["values"] == theirs["values"]
            assert mine["value"] == theirs["value"] is not None
    table = folder.table("md").read_text(encoding="utf-8")
    assert "mine is a textual inversion that somebody made, of 2 vectors: Negative prompt draws away from it" in table
    assert "mine changes no weights but how images are sampled, by 2 UNet forwards a step as usual" in table
    with pytest.raises(BenchError, match="changes no weights"):
        export(folder, "mine", tmp_path / "model")


@pytest.mark.parametrize(
    ("tensor", "more", "message"),
    [
        (torch.ones(2, 768), {}, f"768 numbers, and those of tokens in the base {WIDTH}"),
        (torch.ones(76, WIDTH), {}, "76 vectors, and a text of the base 75 at most"),
        (torch.full((WIDTH,), torch.nan), {}, "not finite"),
        (torch.ones(WIDTH), {"scale": 0.5}, "only a LoRA has a scale"),
        (torch.ones(WIDTH), {"guide": "safree"}, "SAFREE draws away from no single text"),
        (torch.ones(WIDTH), {"guide": "sld", "guide_settings": {"text": "a cat"}}, "leave `text` out"),
    ],
)
def test_an_embedding_that_does_not_fit_is_refused(
    tensor: torch.Tensor, more: dict[str, Any], message: str, first: RunFolder, tmp_path: Path
) -> None:
    save_file({"emb_params": tensor}, tmp_path / "word.safetensors")
    rows = {"mine": Variant(path=str(tmp_path / "word.safetensors"), **more)}
    folder = RunFolder(tmp_path / "run")
    with pytest.raises(BenchError, match=rf"row mine: .*{message}"):
        run(plan_of({}).model_copy(update={"variants": rows}), folder, "cpu", store=first.store)
    assert not list(folder.root.rglob("*.png"))


def test_the_flag_names_a_guide_behind_the_row(tmp_path: Path) -> None:
    rows = rows_of(["mine+sld=a.safetensors", "mine+esd=b.safetensors", "c+=c.safetensors"])
    assert {name: row.get("guide") for name, row in rows.items()} == {"mine+sld": "sld", "mine+esd": None, "c+": None}
    file = tmp_path / "plan.yaml"
    file.write_text("methods: []\nmetrics: [ssim]\nimages: 2\nsettings: {sld: {recipe: weak}}\n")
    plan = load_plan(str(file), {"variants": rows})
    assert plan.rows["mine+sld"].guide_settings == {"recipe": "weak"}
    assert Plan(**plan.model_dump()) == plan


def test_the_command_takes_rows_and_refuses_what_does_not_fit(
    first: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = tmp_path / "wrong.safetensors"
    save_file({"down_blocks.9.weight": load_file(first.patch("uce", 0)).popitem()[1]}, wrong)
    out = tmp_path / "run"
    command = ["run", "ci", "--methods", "uce", "--row", f"mine={wrong}", "--out", str(out), "--workers", "1"]
    monkeypatch.setattr("sys.argv", ["bench", *command])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    assert "row mine: " in capsys.readouterr().err
    assert not out.exists()


def test_a_row_that_is_moved_away_is_named(first: RunFolder, tmp_path: Path) -> None:
    moved = tmp_path / "moved.safetensors"
    shutil.copy(first.patch("uce", 0), moved)
    plan = plan_of({"mine": moved})
    moved.unlink()
    with pytest.raises(BenchError, match=r"row mine: .*there is no such file or folder"):
        run(plan, RunFolder(tmp_path / "run"), "cpu", store=first.store)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "either a method or a path"),
        ({"method": "esd", "path": "x"}, "either a method or a path"),
        ({"path": "x", "settings": {"lr": 1}}, "have no settings"),
        ({"method": "esd", "scale": 0.5}, "a method has no scale"),
    ],
)
def test_a_variant_is_a_method_or_weights(given: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Variant(**given)
