"""The one parallel map: threads, results in the order of the items, bounded memory.

Threads, not processes: the work is in NumPy and SciPy, which release the interpreter lock, and
threads share arrays and start at once.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

from slabkit.errors import SlabkitError

Item = TypeVar("Item")
Result = TypeVar("Result")


def available_cores() -> int:
    """Count the processors this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS
        return os.cpu_count() or 1


def map_in_order(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    jobs: int = 1,
    *,
    ahead: int | None = None,
    background: bool = False,
) -> Generator[Result]:
    """Apply a function to items in threads; the results come in the order of the items.

    Parameters
    ----------
    function : callable
        What it raises is raised where its result would come.
    items : iterable
        Taken as they are needed, by the caller's thread.
    jobs : int, optional
        Threads. 1: no thread, each item is worked on when its result is asked for.
    ahead : int, optional
        How many items beyond the one that the caller has may be in work or done, ``jobs`` by
        default: memory stays bounded.
    background : bool, optional
        Use a thread even for one job, so that the work runs alongside the caller's. It starts with
        this call, and closing the iterator waits for what is in work.
    """
    if jobs <= 1 and not background:
        return (function(item) for item in items)
    jobs = max(1, jobs)
    results = _in_threads(function, iter(items), jobs, jobs if ahead is None else ahead)
    next(results)  # starts the first items
    return results


def _in_threads(
    function: Callable[[Item], Result], items: Iterator[Item], jobs: int, ahead: int
) -> Generator[Result]:
    pool = ThreadPoolExecutor(jobs)
    waiting: deque[Future[Result]] = deque()
    try:
        waiting.extend(pool.submit(function, item) for item in islice(items, ahead))
        yield None  # type: ignore[misc]
        while True:
            waiting.extend(pool.submit(function, item) for item in islice(items, 1))
            if not waiting:
                return
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def attempt_in_order(
    function: Callable[[Item], Result], items: Iterable[Item], jobs: int = 1
) -> Iterator[tuple[Item, Result | SlabkitError]]:
    """As `map_in_order`, each item with its result or the `SlabkitError` it was stopped by."""

    def attempt(item: Item) -> tuple[Item, Result | SlabkitError]:
        try:
            return item, function(item)
        except SlabkitError as error:
            return item, error

    return map_in_order(attempt, items, jobs)
