"""A function over many items, in processes that may die.

Belongs here: bounded hand-out of work and what happens after a crash.
Does not belong here: what the work is.
"""

from __future__ import annotations

import multiprocessing
import resource
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_BATCH_PER_WORKER = 16
_ADDRESS_SPACE_BYTES = 4 << 30


@dataclass(frozen=True)
class Crash:
    """The item ended its process; the others went on."""

    detail: str


def _limit_memory() -> None:
    _soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = _ADDRESS_SPACE_BYTES if hard == resource.RLIM_INFINITY else min(hard, _ADDRESS_SPACE_BYTES)
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))


def _pool(workers: int) -> ProcessPoolExecutor:
    # Never fork: polars and numpy threads of the parent would be copied in an unknown state.
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(workers, mp_context=context, initializer=_limit_memory)


def guarded_map(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int = 1
) -> Iterator[Result | Crash]:
    """Results in the order of the items; with several workers an item that kills its process costs only itself.

    Parameters
    ----------
    function
        Importable by name; arguments and results are pickled when `workers` > 1.
    workers
        Processes; 1 works in this process, without protection. At most 16 items a worker are in memory.

    Raises
    ------
    Exception
        Whatever `function` raises: a defect of ours is not a property of the item.
    """
    if workers <= 1:
        yield from map(function, items)
        return
    source = iter(items)
    pool = _pool(workers)
    try:
        while batch := list(islice(source, workers * _BATCH_PER_WORKER)):
            futures = [pool.submit(function, item) for item in batch]
            broken = False
            for item, future in zip(batch, futures, strict=True):
                try:
                    yield future.result()
                except BrokenProcessPool:
                    # One item broke the pool for all that were in flight: each gets a process of its own.
                    broken = True
                    yield _alone(function, item)
            if broken:
                pool.shutdown(wait=False)
                pool = _pool(workers)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _alone(function: Callable[[Item], Result], item: Item) -> Result | Crash:
    with _pool(1) as single:
        try:
            return single.submit(function, item).result()
        except BrokenProcessPool as error:
            return Crash(f"the worker process ended: {error}")
