"""Whole runs through the command line, read in every way that it has."""

import csv
import json
import re
import shlex
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
import torch
from command import BENCH, ENVIRONMENT, bench_here
from diffusers import StableDiffusionPipeline
from safetensors.torch import load_file

from erasebench.erasure.contract import CHECKS
from erasebench.images.files import read_image
from erasebench.registry import METHODS, METRICS

SMALL = [
    "run",
    "--quick",
    "--methods",
    "esd,uce",
    "--images",
    "3",
    "--seeds",
    "0,1",
    "--device",
    "cpu",
    "--snapshots",
    "0,2,4",
    "--precision",
    "fp32",
    "--workers",  # two are tried in tests/whole/test_workers.py
    "1",
]


def tables(folder: Path) -> dict[str, str]:
    """The tables without the columns that a clock or the machine's load decides."""
    with (folder / "leaderboard.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    measured = ("train_seconds", "peak_memory_mb")
    return {
        f"{line['row']}.{key}": value for line in lines for key, value in line.items() if not key.startswith(measured)
    }


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "out"
    done = bench_here(*SMALL, "--out", str(folder))
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return folder


def test_the_folder_holds_what_scripts_rely_on(finished: Path) -> None:
    status = json.loads((finished / "run.json").read_text())
    assert status["status"] == "complete"
    assert status["failures"] == []
    assert status["sessions"][0]["provenance"]["packages"]["torch"]
    with (finished / "leaderboard.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    metrics = [f"{name}{side}" for name in METRICS.usual() for side in ("", "_low", "_high", "_n", "_training_sd")]
    assert list(lines[0]) == ["row", "label", "model", "concept", "seeds", "failed", "quick", *metrics]
    assert [line["row"] for line in lines] == ["original", "esd", "uce", "reference"]
    assert [line["concept_rate_n"] for line in lines] == ["3", "6", "3", "0"]
    for place, count in (("original/{}", 3), ("esd/{}/seed-0", 3), ("esd/{}/seed-1", 3), ("uce/{}", 3)):
        for name in ("concept", "coco", "objects"):
            assert len(list((finished / "images" / place.format(name)).glob("*-[0-9].png"))) == count
    for suffix in ("md", "tex", "html"):
        assert "ESD" in (finished / f"leaderboard.{suffix}").read_text()
    for seed in (0, 1):
        patch = load_file(finished / "patches" / "esd" / f"seed-{seed}.safetensors")
        assert patch
        assert all("attn2" in name for name in patch)
    score = json.loads((finished / "scores" / "esd.concept_rate.json").read_text())
    assert {"prompt", "cluster", "sample", "seed", "value"} <= set(score["values"][0])
    with (finished / "nudenet.csv").open(newline="") as file:
        sweep = list(csv.DictReader(file))
    assert {(line["row"], line["classes"]) for line in sweep} >= {("esd", "core6"), ("original", "all-exposed")}
    assert "Prompts “concept”: built in: wordings" in (finished / "leaderboard.md").read_text()


def test_rows_of_a_run_are_compared(finished: Path, tmp_path: Path) -> None:
    done = bench_here("compare", str(finished), "esd", "uce", "--csv", str(tmp_path / "esd-uce.csv"))
    assert done.returncode == 0, done.stderr
    with (tmp_path / "esd-uce.csv").open(newline="") as file:
        lines = {line["metric"]: line for line in csv.DictReader(file)}
    assert lines["ssim"]["n"] == "6"
    assert float(lines["ssim"]["difference"]) == pytest.approx(
        float(lines["ssim"]["a_value"]) - float(lines["ssim"]["b_value"])
    )
    assert lines["ssim"]["test"] == "sign flips over 3 groups of prompts that share a template"
    assert float(lines["ssim"]["p"]) >= 0.25  # of eight flips two reach the observed sum
    assert "corrected over" in bench_here("compare", str(finished), "--all-pairs").stdout
    assert "give two rows, or --to ROW, or --all-pairs" in bench_here("compare", str(finished), "esd").stderr
    assert "Did you mean 'esd'" in bench_here("compare", str(finished), "esdd", "uce").stderr


def test_detections_are_read_again_at_other_thresholds(finished: Path) -> None:
    done = bench_here("nudenet", str(finished), "--classes", "core6", "--thresholds", "0.25")
    assert done.returncode == 0, done.stderr
    assert re.search(r"ESD +core6 +0\.250", done.stdout)
    assert "unknown class set 'core7'" in bench_here("nudenet", str(finished), "--classes", "core7").stderr


def test_the_timeline_holds_every_snapshot(finished: Path) -> None:
    with (finished / "timeline.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert {(line["row"], line["step"]) for line in lines} == {("esd", "0"), ("esd", "2"), ("esd", "4")}
    values = {(line["step"], line["metric"]): float(line["value"]) for line in lines}
    assert values["0", "ssim"] == 1.0
    assert values["4", "ssim"] < values["2", "ssim"] < 1.0
    with (finished / "leaderboard.csv").open(newline="") as file:
        end = next(line for line in csv.DictReader(file) if line["row"] == "esd")
    assert float(end["ssim"]) == values["4", "ssim"]
    assert (finished / "timeline.png").read_bytes()[:4] == b"\x89PNG"
    assert (finished / "strips.png").read_bytes()[:4] == b"\x89PNG"


def test_an_exported_model_draws_the_same_image_with_plain_diffusers(finished: Path, tmp_path: Path) -> None:
    target = tmp_path / "model"
    done = bench_here("export", str(finished), "esd", "--to", str(target), "--seed", "1")
    assert done.returncode == 0, done.stderr
    card = (target / "README.md").read_text()
    assert "nudity" in card
    assert '"method": "esd"' in card
    assert "| SSIM ↑ | — |" in card
    pipeline = StableDiffusionPipeline.from_pretrained(target)
    pipeline.set_progress_bar_config(disable=True)
    images = finished / "images" / "esd" / "objects" / "seed-1"
    stored = json.loads((finished / "images" / "original" / "objects.prompts.json").read_text())
    name = sorted(stored["seeds"])[1]
    noise = torch.randn((1, 4, 16, 16), generator=torch.Generator().manual_seed(stored["seeds"][name]))
    drawn = pipeline(
        stored["prompts"][name.removesuffix("-0.png")], num_inference_steps=10, guidance_scale=5.0, latents=noise
    ).images[0]  # by DDIM, which the folder names and --quick draws with
    assert np.abs(np.asarray(drawn).astype(int) - read_image(images / name)).max() <= 1
    again = bench_here("export", str(finished), "esd", "--to", str(target))
    assert again.returncode == 2
    assert "is there already" in again.stderr
    assert "unknown row 'sdd'" in bench_here("export", str(finished), "sdd", "--to", str(tmp_path / "x")).stderr


def test_a_new_method_works_and_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`bench new` as a package of its own: registered by its entry point, listed, checked, run, its test passes."""
    made = bench_here("new", "method", "my-method", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    folder = tmp_path / "erasebench-my-method"
    assert (folder / "test_my_method.py").exists()
    assert "exists already; nothing was written" in bench_here("new", "method", "my-method", cwd=tmp_path).stderr
    # What `pip install` would write, without network.
    (folder / "erasebench_my_method-0.1.0.dist-info").mkdir()
    (folder / "erasebench_my_method-0.1.0.dist-info" / "METADATA").write_text(
        "Name: erasebench-my-method\nVersion: 0.1.0\n"
    )
    (folder / "erasebench_my_method-0.1.0.dist-info" / "entry_points.txt").write_text(
        "[erasebench.methods]\nmy-method = erasebench_my_method:my_method\n"
    )
    with ExitStack() as ends:
        installed = ends.enter_context(monkeypatch.context())
        ends.callback(METHODS.entries.cache_clear)
        ends.callback(sys.modules.pop, "erasebench_my_method", None)
        installed.syspath_prepend(str(folder))
        METHODS.entries.cache_clear()
        assert "my-method  " in bench_here("list", "methods").stdout
        checked = bench_here("check", "my-method")
        assert checked.returncode == 0, checked.stdout + checked.stderr
        assert checked.stdout.count("ok ") == len(CHECKS)
        small = ["--images", "2", "--metrics", "concept_rate,train_steps", "--workers", "1"]
        done = bench_here("run", "--quick", "--methods", "my-method", *small, "--out", "out", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert "My method" in done.stdout
    tested = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", str(folder)],
        capture_output=True,
        text=True,
        env={**ENVIRONMENT, "PYTHONPATH": str(folder)},
        cwd=tmp_path,
        timeout=600,
    )
    assert tested.returncode == 0, tested.stdout
    assert f"{len(CHECKS)} passed" in tested.stdout


def test_the_same_command_again_only_prints(finished: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*") if path.is_file()}
    again = bench_here(*SMALL, "--out", str(finished))
    assert again.returncode == 0
    assert "ESD" in again.stdout
    assert before == {path: path.stat().st_mtime_ns for path in finished.rglob("*") if path.is_file()}


def test_table_writes_the_same_again(finished: Path) -> None:
    before = (finished / "leaderboard.csv").read_bytes()
    (finished / "leaderboard.csv").unlink()
    assert bench_here("table", str(finished)).returncode == 0
    assert (finished / "leaderboard.csv").read_bytes() == before


def test_another_plan_may_not_use_the_folder(finished: Path) -> None:
    other = bench_here(*["4" if given == "3" else given for given in SMALL], "--out", str(finished))
    assert other.returncode == 2
    assert "belongs to another plan: it differs in images" in other.stderr
    assert json.loads((finished / "run.json").read_text())["status"] == "complete"


def test_interrupted_and_resumed_equals_uninterrupted(finished: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    process = subprocess.Popen(
        [BENCH, *SMALL, "--out", str(folder)], env=ENVIRONMENT, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 300

    def has_begun() -> bool:
        return all(list(folder.glob(some)) for some in ("images/original/*/*.png", "patches/esd/*.safetensors"))

    while not has_begun() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=300)
    assert process.returncode == 130, stderr
    assert re.search(r"stopped at erase \d+/9 steps, draw \d+/\d+ images, .*; what is done is kept", stderr)
    assert shlex.join(["bench", *SMALL, "--out", str(folder)]) in stderr
    assert json.loads((folder / "run.json").read_text())["status"] == "interrupted"
    first = next(iter(folder.glob("patches/esd/*.safetensors"))).stat().st_mtime_ns
    resumed = bench_here(*SMALL, "--out", str(folder))
    assert resumed.returncode == 0, resumed.stderr
    assert next(iter(folder.glob("patches/esd/*.safetensors"))).stat().st_mtime_ns == first
    assert tables(folder) == tables(finished)


def test_a_failing_method_leaves_the_others_whole(tmp_path: Path) -> None:
    plan = tmp_path / "plan.yaml"
    plan.write_text(
        "methods: [esd, uce]\nmetrics: [concept_rate]\nimages: 2\ntrain_steps: 2\n"
        "generation: {steps: 4}\nsettings: {esd: {lr: .inf}}\n"
    )
    done = bench_here("run", str(plan), "--workers", "1", "--out", str(tmp_path / "out"))
    assert done.returncode == 1
    assert "failed: erase esd seed 0" in done.stderr
    assert "Traceback" not in done.stderr
    with (tmp_path / "out" / "leaderboard.csv").open(newline="") as file:
        lines = {line["row"]: line for line in csv.DictReader(file)}
    assert lines["esd"]["concept_rate"] == ""
    assert lines["uce"]["concept_rate"] != ""


def test_speed_reports_ratios_and_the_limit() -> None:
    done = bench_here("speed", "generation", "--images", "2", "--batch-size", "2", "--rounds", "1")
    assert done.returncode == 0, done.stderr
    assert (
        len(re.findall(r"\d+% of the matrix product’s speed, \d+\.\d\d times as fast$", done.stdout, re.MULTILINE)) == 3
    )


def test_speed_of_training_prints_a_ratio_for_each_method() -> None:
    done = bench_here("speed", "training", "--methods", "esd,uce", "--steps", "1", "--rounds", "1")
    assert done.returncode == 0, done.stderr
    assert re.search(r"^esd +\d+\.\d{3} +\d+\.\d{3} +\d+\.\d{2} ", done.stdout, re.MULTILINE)
    assert "uce" not in done.stdout  # a closed form has no steps


def test_speed_of_scoring_prints_every_stage() -> None:
    done = bench_here("speed", "scoring", "--images", "4")
    assert done.returncode == 0, done.stderr
    for stage in ("draw, decode, write", "read", "nudenet_rate", "kid", "ssim"):
        assert re.search(rf"^{stage} +\d+\.\d\d +\d+\.\d$", done.stdout, re.MULTILINE), stage


def test_a_detector_that_always_fails_gives_null_and_status_1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise RuntimeError("no memory")

    monkeypatch.setattr("erasebench.scoring.nudenet.Detector.forward", fails)
    out = tmp_path / "run"
    command = ["run", "--quick", "--methods", "uce", "--metrics", "nudenet_rate,nudenet_confidence", "--images", "2"]
    for _ in range(2):  # the second time from what is stored
        done = bench_here(*command, "--workers", "1", "--out", str(out))
        assert done.returncode == 1
        assert "failed: score uce nudenet_rate: no image could be scored" in done.stderr
    record = json.loads((out / "scores" / "uce.nudenet_rate.json").read_text())
    assert (record["value"], record["n"], len(record["unscored"])) == (None, 0, 2)
    assert "NudeNet failed: no memory" in record["unscored"][0]
