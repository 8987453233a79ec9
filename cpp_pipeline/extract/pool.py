"""A function over batches of items, in processes that may die.

Belongs here: bounded hand-out of work, the limits of a worker, and what happens after a crash.
Does not belong here: what the work is.

Workers are forked from a server process that has loaded the parser and the compiled kernels once (`warm.py`), so a new
worker costs milliseconds. A worker that crashes, runs out of memory or takes too much CPU time ends alone; the items of
its batch are done again, each in a process of its own, so that only the one at fault is lost.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from itertools import islice
from multiprocessing import connection
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

BATCH_CPU_SECONDS = 120.0
_IN_FLIGHT_PER_WORKER = 2
_ADDRESS_SPACE_BYTES = 4 << 30
_PRELOAD = ["cpp_pipeline.extract.warm"]


@dataclass(frozen=True)
class Crash:
    """The item ended its process; the others went on."""

    detail: str


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


def guarded_batches(
    function: Callable[[Sequence[Item]], Result], batches: Iterable[Sequence[Item]], workers: int = 1
) -> Iterator[tuple[Sequence[Item], Result | Crash]]:
    """Each batch with its result, in order; after a crash each item of the batch with its own.

    Parameters
    ----------
    function
        Importable by name; arguments and results are pickled when `workers` > 0.
    workers
        Processes; 0 works in this process, without protection. At most 2 batches a worker are in memory.

    Raises
    ------
    Exception
        Whatever `function` raises but MemoryError: a defect of ours is not a property of the item.
    """
    if workers <= 0:
        yield from ((batch, function(batch)) for batch in batches)
        return
    waiting: deque[tuple[Sequence[Item], Future[Result]]] = deque()
    pool = _pool(workers)
    try:
        for batch in batches:
            while True:
                try:
                    waiting.append((batch, pool.submit(_limited, function, batch)))
                    break
                except BrokenProcessPool:  # a batch in flight broke it
                    yield from _drain(function, waiting)
                    pool = _renewed(pool, workers)
            if len(waiting) >= workers * _IN_FLIGHT_PER_WORKER:
                yield from _first(function, waiting)
        yield from _drain(function, waiting)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def guarded_map(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int = 1, batch_items: int = 16
) -> Iterator[Result | Crash]:
    """Results in the order of the items; an item that kills its process costs only itself (`guarded_batches`)."""
    source = iter(items)
    batches = iter(lambda: list(islice(source, batch_items)), [])
    for _, results in guarded_batches(partial(_each, function), batches, workers):
        if isinstance(results, Crash):
            yield results
        else:
            yield from results


def _each(function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    return [function(item) for item in items]


def _first(
    function: Callable[[Sequence[Item]], Result], waiting: deque[tuple[Sequence[Item], Future[Result]]]
) -> Iterator[tuple[Sequence[Item], Result | Crash]]:
    batch, future = waiting.popleft()
    try:
        yield batch, future.result()
    except (BrokenProcessPool, MemoryError):
        yield from _again(function, batch)


def _drain(
    function: Callable[[Sequence[Item]], Result], waiting: deque[tuple[Sequence[Item], Future[Result]]]
) -> Iterator[tuple[Sequence[Item], Result | Crash]]:
    while waiting:
        yield from _first(function, waiting)


def _again(
    function: Callable[[Sequence[Item]], Result], batch: Sequence[Item]
) -> Iterator[tuple[Sequence[Item], Result | Crash]]:
    # Whichever batch broke the pool, all in flight are lost: each gets a process of its own, then each of its items.
    result = _alone(function, batch)
    if isinstance(result, Crash) and len(batch) > 1:
        for item in batch:
            yield [item], _alone(function, [item])
    else:
        yield batch, result


def _alone(function: Callable[[Sequence[Item]], Result], batch: Sequence[Item]) -> Result | Crash:
    with _pool(1) as single:
        try:
            return single.submit(_limited, function, batch).result()
        except (BrokenProcessPool, MemoryError) as error:
            what = "out of memory" if isinstance(error, MemoryError) else "killed by a signal or its CPU time limit"
            return Crash(f"its process ended: {what}")


def _pool(workers: int) -> ProcessPoolExecutor:
    # Never a fork of this process: polars and numpy threads would be copied in an unknown state.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOAD)
    return ProcessPoolExecutor(workers, mp_context=context, initializer=_limit)


def _renewed(pool: ProcessPoolExecutor, workers: int) -> ProcessPoolExecutor:
    pool.shutdown(wait=False)
    return _pool(workers)


def _limit() -> None:
    """Limits of a worker, taken on when it starts."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = _ADDRESS_SPACE_BYTES if hard == resource.RLIM_INFINITY else min(hard, _ADDRESS_SPACE_BYTES)
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _end_with_parent() -> None:
    """End this worker when the process that started it has ended.

    An idle worker would wait for ever: it holds both ends of the queue that it reads, and keeps the server alive.
    """
    parent = multiprocessing.parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)


def _limited(function: Callable[[Sequence[Item]], Result], batch: Sequence[Item]) -> Result:
    # The signal's default action ends the process, also inside the parser, where Python cannot act.
    signal.setitimer(signal.ITIMER_PROF, BATCH_CPU_SECONDS)
    try:
        return function(batch)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
