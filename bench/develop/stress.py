"""Killing small runs and their workers again and again, at random moments, and checking that nothing is lost."""

from __future__ import annotations

import logging
import multiprocessing
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from pathlib import Path

import torch

from ..engine.run import run
from ..errors import BenchError
from ..report.leaderboard import SUFFIXES
from ..runs.folder import RunFolder
from ..runs.plan import Generation, Plan

PLAN = Plan(
    name="stress",
    concept="garbage truck",
    methods=["sdd", "uce"],
    images=8,
    train_steps=2,
    metrics=["concept_rate", "ssim"],
    generation=Generation(steps=6, batch_size=3),
)
LONGEST_WAIT = 0.3  # until a kill, at most, as a share of what the undisturbed run takes
DAMAGE = 0.3  # share of kills after which a stored file is altered too
SHOWN = ("patches/**/*.s*", "patches/**/*.json", "images/**/*.png", "scores/*.json")  # links into the store, or copies
KEPT = ("features/**/features", "values/**/values", "score/**/*.json")  # what the store alone has
WORKERS = 2
WORKER_KILLS = 2  # a task that loses its worker a third time is given up


def stress(kills: int, seed: int, folder: Path) -> Iterator[str]:
    """Kill runs of PLAN with SIGKILL, start each again in its folder, and compare what it ends with.

    After some kills a stored file is torn or one of its bits turned over. At last a run has workers, which are killed
    while it goes on. Every run has a store of its own. Lines: kills by stage, and the outcome.

    Args:
        kills: of runs, at least so many.
        seed: of the moments.
        folder: an empty one, for an undisturbed run and the others.

    Raises:
        BenchError: a run ended with other tables, images or weights than the undisturbed one, or failed.
    """
    torch.set_num_threads(1)  # a forked process has no other threads
    rng = random.Random(seed)
    began = time.monotonic()
    calm = folder / "undisturbed" / "run"
    if run(PLAN, RunFolder(calm), "cpu"):  # in this process, so that children need not import again
        raise BenchError(f"the undisturbed run in {calm} failed: see its run.json.")
    took = time.monotonic() - began
    yield f"undisturbed: {took:.1f} s"
    stages, damages, runs = Counter[str](), Counter[str](), 0
    while sum(stages.values()) < kills:
        target = folder / str(runs) / "run"
        while True:
            child = _start(target)
            if (status := _wait(child, rng.uniform(0.05, LONGEST_WAIT * took))) is not None:
                break
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            stages[_stage(target)] += 1
            if rng.random() < DAMAGE and (damaged := _damage(target, rng)):
                damages[damaged] += 1
        if status != 0:
            raise BenchError(f"the run in {target} failed: see its run.json.")
        _compare(calm, target)
        runs += 1
    yield f"{sum(stages.values())} kills in {runs} runs: " + ", ".join(f"{n} while {s}" for s, n in stages.items())
    if damages:
        yield f"{sum(damages.values())} stored files altered: " + ", ".join(f"{n} {s}" for s, n in damages.items())
    target, killed = folder / "workers" / "run", list[int]()
    with _workers_killed(target, rng, killed):
        failed = run(PLAN, RunFolder(target), "cpu", workers=WORKERS)
    if failed:
        raise BenchError(f"the run in {target}, whose workers were killed, failed: see its run.json.")
    _compare(calm, target)
    yield f"{len(killed)} kills of workers in a run of {WORKERS}"
    yield f"all {runs + 1} runs ended with the tables, images and weights of the undisturbed one, byte by byte"


def _compare(calm: Path, target: Path) -> None:
    if different := differences(calm, target):
        raise BenchError(f"{target} differs from {calm} in {', '.join(different[:5])}.")


@contextmanager
def _workers_killed(folder: Path, rng: random.Random, killed: list[int]) -> Iterator[None]:
    """Kill a worker of this process now and then, once the run has done something since; `killed` gets their pids."""
    ended = threading.Event()

    def kill() -> None:
        before = 0
        while not ended.wait(rng.uniform(0.05, 1.0)):
            done = sum("entry.json" in names for _, _, names in os.walk(folder.parent / "store"))
            workers = [child.pid for child in multiprocessing.active_children() if child.pid not in killed]
            if done > before and workers and len(killed) < WORKER_KILLS:
                before = done
                killed.append(rng.choice(workers) or 0)
                os.kill(killed[-1], signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def differences(first: Path, second: Path) -> list[str]:
    """Tables, images and weights that are not the same in both runs, or are in one only."""
    patterns = ("images/**/*.png", "patches/**/*.safetensors")

    def contents(root: Path) -> dict[str, bytes]:
        files = [file for pattern in patterns for file in root.glob(pattern)]
        files += [RunFolder(root).table(suffix) for suffix in SUFFIXES]
        return {file.relative_to(root).as_posix(): file.read_bytes() for file in files}

    mine, theirs = contents(first), contents(second)
    return sorted(name for name in mine.keys() | theirs.keys() if mine.get(name) != theirs.get(name))


def _start(folder: Path) -> int:
    """A child process that runs PLAN in the folder."""
    child = os.fork()
    if child:
        return child
    status = 1
    logging.getLogger("erasebench").setLevel(logging.ERROR)  # damage is meant here
    try:
        with open(os.devnull, "w", encoding="utf-8") as nowhere, redirect_stderr(nowhere):  # noqa: PTH123
            status = 1 if run(PLAN, RunFolder(folder), "cpu") else 0
    finally:
        os._exit(status)


def _wait(child: int, seconds: float) -> int | None:
    """The child's exit status, or None where it still works after so long."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    return None


def _stage(folder: Path) -> str:
    """What a run was doing, by what it holds."""
    layout = RunFolder(folder)
    if not all(layout.patch(row, seed).exists() for row in PLAN.rows for seed in PLAN.seeds):
        return "training"
    if not (folder / "scores").exists():
        return "drawing"
    return "writing tables" if layout.table("csv").exists() else "scoring"


def _damage(folder: Path, rng: random.Random) -> str:
    """Tear a stored file or turn over one of its bits; what was done, or "" where there is none."""
    places = [(folder, SHOWN), (folder.parent / "store", KEPT)]
    found = (file for place, patterns in places for pattern in patterns for file in place.glob(pattern))
    files = sorted(file for file in found if file.stat().st_size)
    if not files:
        return ""
    file = rng.choice(files)
    file.chmod(0o644)
    content = bytearray(file.read_bytes())
    if rng.random() < 0.5:
        file.write_bytes(content[: rng.randrange(len(content))])
        return f"{file.suffix or file.name} torn"
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    file.write_bytes(content)
    return f"{file.suffix or file.name} with a bit turned over"
