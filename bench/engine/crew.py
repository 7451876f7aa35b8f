"""Who does a run's tasks: this process, processes of this machine, or a Ray cluster's."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

    from .executor import Executor
    from .pool import Pool
    from .ray_request import RayRequest
    from .setup import Setup


class Crew:
    """As many workers as are asked for, or as there is room for; a context, as a cluster has to be left.

    Attributes:
        count: how many work at the same time.
    """

    def __init__(self, setup: Setup, workers: int | None, alone: bool = False, ray: RayRequest | None = None) -> None:
        from .workers import usual_workers

        self._alone, self._cluster = alone, None
        if ray is not None:
            from .ray_cluster import Cluster

            self._cluster = Cluster(setup, ray)
            try:
                self.count = self._cluster.room_for(workers)
            except BaseException:
                self._cluster.leave()
                raise
        else:
            self.count = usual_workers(setup) if workers is None else workers

    @property
    def is_this_process(self) -> bool:
        """Whether this process does everything itself."""
        return self.count == 1 and self._cluster is None

    def pool(self, executor: Executor, tasks: int) -> Pool:
        """Workers for so many tasks of a run."""
        from .pool import Inline

        if tasks == 0 or self.is_this_process or (tasks == 1 and self._cluster is None):
            return Inline(executor)
        if self._cluster is not None:
            from .ray_pool import RayPool

            return RayPool(executor, self._cluster, self.count, self._alone)
        from .local import Local

        return Local(executor.setup, self.count, self._alone)

    def __enter__(self) -> Crew:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._cluster is not None:
            self._cluster.leave()
