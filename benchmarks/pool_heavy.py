"""Pools of rivals with services of their own, under the same names as in pool_rivals.py."""

from __future__ import annotations

import operator
import os
from collections.abc import Callable, Sequence
from typing import Any

from pool_rivals import WORKERS, Pooling

__all__ = ["Dask", "Ray"]

Function = Callable[[Any], Any]


class Ray(Pooling):
    """Remote functions; its services are started by the first use and end with `close`."""

    pace = 0.02
    without = dict.fromkeys(("lazily", "in_chunks", "unordered"), "its tasks are single ones")

    def __init__(self) -> None:
        super().__init__()
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # nothing is told to anybody
        self._made: dict[Function, Any] = {}
        self._folder = ""

    def open(self) -> None:
        import tempfile

        import ray

        self._folder = tempfile.mkdtemp(prefix="ray", dir="/tmp")  # its sockets want a short path
        ray.init(num_cpus=WORKERS, include_dashboard=False, log_to_driver=False, logging_level="ERROR",
                 object_store_memory=1_000_000_000, _temp_dir=self._folder)  # fmt: skip
        self.pool, self.get = ray, ray.get

    def close(self) -> None:
        import shutil

        self.pool.shutdown()
        self.pool = None
        self._made.clear()
        shutil.rmtree(self._folder, ignore_errors=True)

    drop = close

    def submit(self, function: Function, *args: Any) -> Any:
        made = self._made.get(function)
        if made is None:  # a task whose worker dies is not tried again
            made = self._made[function] = self.pool.remote(max_retries=0)(function)
        return made.remote(*args)

    def get_within(self, ticket: Any, seconds: float) -> Any:
        return self.pool.get(ticket, timeout=seconds)

    def one_by_one(self, function: Function, things: Sequence[Any]) -> Any:
        return self.pool.get([self.submit(function, thing) for thing in things])

    by_default = one_by_one


class Dask(Pooling):
    """distributed on one machine: a scheduler in this process, and two workers."""

    pace = 0.005
    without = dict.fromkeys(("lazily", "in_chunks", "unordered"), "its tasks are single ones")
    get = operator.methodcaller("result")

    def open(self) -> None:
        import logging
        import warnings

        import dask
        from distributed import Client

        warnings.filterwarnings("ignore", module="distributed")  # it advises against big arguments
        dask.config.set({"distributed.scheduler.allowed-failures": 0})  # as above
        self.pool = Client(n_workers=WORKERS, threads_per_worker=1, dashboard_address=None, memory_limit=0,
                           silence_logs=logging.CRITICAL)  # fmt: skip

    def close(self) -> None:
        cluster = self.pool.cluster
        self.pool.close()
        cluster.close()
        self.pool = None

    drop = close

    def submit(self, function: Function, *args: Any) -> Any:
        return self.pool.submit(function, *args, pure=False)

    def get_within(self, ticket: Any, seconds: float) -> Any:
        return ticket.result(timeout=seconds)

    def one_by_one(self, function: Function, things: Sequence[Any]) -> Any:
        return self.pool.gather(self.pool.map(function, things, pure=False))

    by_default = one_by_one
