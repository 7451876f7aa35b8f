"""`bench speed ray`: start-up and work of both told apart; here without Ray, by workers of this machine alone."""

from __future__ import annotations

import re

import pytest

from erasebench.develop.speed import cluster as speed
from erasebench.engine.executor import Executor
from erasebench.engine.local import Local

pytest.importorskip("ray", reason="Ray is not installed: pip install 'erasebench[ray]'")


class Nowhere:
    """In the place of a cluster."""

    left = 0

    def __init__(self, *_: object) -> None: ...

    def room_for(self, workers: int) -> int:
        return workers

    def leave(self) -> None:
        Nowhere.left += 1


@pytest.mark.slow
def test_both_do_the_same_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def pool(executor: Executor, cluster: Nowhere, size: int) -> Local:
        return Local(executor.setup, size)

    monkeypatch.setattr("erasebench.engine.ray_cluster.Cluster", Nowhere)
    monkeypatch.setattr("erasebench.engine.ray_pool.RayPool", pool)
    head, _, here, there, _, told = speed.measure_cluster(1, "there:1", "cpu", images=2, steps=1, rounds=1)
    assert head == "| workers | start-up, s | work, s |"
    for line, name in ((here, "this machine"), (there, "the cluster")):
        assert re.fullmatch(rf"\| 1 of {name} \| [\d.]+ \| [\d.]+ \|", line)
    assert re.match(r"at work the cluster takes \d+\.\d\d times as long; the fastest of 1 rounds", told)
    assert Nowhere.left == 1
