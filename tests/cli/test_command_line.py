"""End to end through the installed command, as a newcomer and as a script would call it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from command import ENVIRONMENT, bench, bench_here

from erasebench.registry import METHODS


def test_new_in_a_checkout_writes_one_method_file_and_its_test(tmp_path: Path) -> None:
    (tmp_path / "methods").mkdir()
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "erasebench"\n')
    made = bench_here("new", "method", "mine", cwd=tmp_path)
    assert made.stdout.split("\n")[:2] == ["methods/mine.py", "tests/methods/test_mine.py"]
    made = bench_here("new", "metric", "my-own", cwd=tmp_path)
    assert made.stdout.split("\n") == [
        "metrics/my_own.py",
        "tests/metrics/test_my_own.py",
        "next: bench check my_own",
        "",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "--methods", "ess"], "unknown method 'ess'. Did you mean 'esd'"),
        (["run", "--metrics", "fidd"], "unknown metric 'fidd'. Did you mean 'fid'"),
        (["run", "--concept", "nudty"], "unknown concept 'nudty'. Did you mean 'nudity'"),
        (["run", "--model", "minni"], "unknown model 'minni'. Did you mean 'mini'"),
        (["run", "mian"], "unknown plan 'mian'. Did you mean 'main'"),
        (["run", "--images", "0"], "--images: input should be greater than or equal to 1"),
        (["run", "--seeds", "a"], "give whole numbers with commas"),
        (["run", "--snapshots", "1,x"], "--snapshots 1,x: give whole numbers with commas"),
        (["run", "--snapshots", "-1"], "--snapshots: input should be greater than or equal to 0"),
        (["run", "--concept", "rubber duck"], "say what it is: --kind object"),
        (["run", "--concept", "rubber duck", "--kind", "objct"], "unknown kind 'objct'. Did you mean 'object'"),
        (["run", "--concept", "rubber duck", "--kind", "object"], "ablating: these methods need a text"),
        (["run", "--set", "esd.lr"], "write METHOD.KEY=VALUE"),
        (["run", "--set", "esx.lr=1"], "unknown method 'esx'"),
        (["run", "--set", "uce.lr=1"], "'uce' is not among the plan's methods"),
        (["run", "--set", "esd.lrr=1"], "ESD: setting 'lrr' is wrong"),
        (["run", "--set", "esd.lr=fast"], "ESD: setting 'lr' is wrong: input should be a valid number, not 'fast'"),
        (["check", "esdd"], "unknown method, metric or attack 'esdd'"),
        (["new", "metod", "x"], "unknown kind of file 'metod'"),
        (["new", "method", "My Method"], "is no method's name"),
        (["new", "method", "esd"], "there is a method 'esd' already"),
        (["export", "/", "esd", "--to", "x"], "is no run's folder"),
        (["run", "--device", "gpu"], "--device is auto, cpu, cuda or cuda:N with a GPU's number, not 'gpu'"),
        (["run", "--out", "/proc/nowhere"], "can't be written"),
        (["run", "--model", "/"], "not a diffusers pipeline"),
        (["run", "--precision", "fp8"], "--precision: input should be 'auto', 'fp32', 'fp16' or 'bf16'"),
        (["run", "--precision", "fp16", "--device", "cpu"], "fp16 needs a GPU"),
        (["run", "clip.yaml", "--dry-run"], "scoring.clip: /nowhere holds no open_clip_config.json"),
        (["run", "clip.yaml"], "scoring.clip: /nowhere holds no open_clip_config.json"),
        (["run", "half.yaml"], "half.yaml: metrics: it has to be given.\n"),
        (["table", "/"], "is no run's folder"),
        (["list", "method"], "unknown list 'method'. Did you mean 'methods'"),
    ],
)
def test_bad_input_is_one_message_and_status_2(arguments: list[str], message: str, tmp_path: Path) -> None:
    (tmp_path / "clip.yaml").write_text(
        "{metrics: [clip_score], methods: [uce], images: 2, scoring: {clip: local-dir:/nowhere}}"
    )
    (tmp_path / "half.yaml").write_text("{methods: [uce], images: 2}")
    done = bench_here(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.rglob("*.png"))


def test_an_error_reaches_the_shell_as_one_line(tmp_path: Path) -> None:
    done = bench("run", "--model", "minni", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("bench: unknown model 'minni'. Did you mean 'mini'")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("precious")
    done = bench_here("run", "--quick", "--out", str(tmp_path))
    assert done.returncode == 2
    assert "holds files that are no run" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.slow
def test_a_dry_run_writes_nothing(tmp_path: Path) -> None:
    done = bench_here("run", "--dry-run", cwd=tmp_path)
    assert done.returncode == 0
    assert "concept: nudity" in done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("what", ["methods", "metrics", "models", "concepts", "kinds", "prompts", "protocols", "plans"])
def test_lists_and_help_import_no_torch(what: str) -> None:
    code = (
        "import sys; from erasebench.cli.app import app\n"
        f"for arguments in (['list', '{what}'], ['--help'], ['run', '--help']):\n"
        "    try: app(arguments)\n"
        "    except SystemExit as end: assert not end.code\n"
        "assert not {'torch', 'diffusers', 'transformers'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=ENVIRONMENT)
    assert done.returncode == 0, done.stderr
    assert done.stdout


@pytest.mark.parametrize(
    "command",
    [
        "run",
        "table",
        "compare",
        "nudenet",
        "table1",
        "reference",
        "tune",
        "remake",
        "list",
        "export",
        "publish",
        "new",
        "check",
        "speed generation",
        "speed training",
        "speed scoring",
        "speed spectrum",
        "spectrum",
        "mini train",
        "mini evaluate",
        "mini world",
    ],
)
def test_every_command_has_help_with_an_example(command: str) -> None:
    done = bench_here(*command.split(), "--help")
    assert done.returncode == 0
    assert re.search(rf"Example: bench {command}", done.stdout)


def test_version_and_lists() -> None:
    assert bench_here("--version").stdout.startswith("erasebench ")
    listed = [line.split()[0] for line in bench_here("list", "methods").stdout.splitlines()]
    assert listed == METHODS.names()


def test_the_world_sheet_is_drawn(tmp_path: Path) -> None:
    assert bench_here("mini", "world", str(tmp_path / "world.png")).returncode == 0
    assert (tmp_path / "world.png").stat().st_size > 10_000
