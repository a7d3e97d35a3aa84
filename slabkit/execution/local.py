"""Run one function over many items on this machine, in order, failures kept apart."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Generic, TypeVar

from slabkit.errors import SlabkitError

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Outcome(Generic[Item, Result]):
    """What became of one item: a value, or the error that stopped it.

    Parameters
    ----------
    item : object
    value : object, optional
        The function's result; None after a failure.
    error : SlabkitError, optional
        Why there is no value.
    """

    item: Item
    value: Result | None = None
    error: SlabkitError | None = None


def available_cores() -> int:
    """Count the processors this process may use.

    Returns
    -------
    int
    """
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS
        return os.cpu_count() or 1


def run_items(
    function: Callable[[Item], Result], items: Iterable[Item], jobs: int = 1
) -> Iterator[Outcome[Item, Result]]:
    """Run a function over items with at most ``jobs`` at a time.

    Threads, not processes: the work is in NumPy and SciPy, which release the interpreter lock, and
    threads share the memory maps and start at once. Results come in the order of the items,
    whatever ``jobs`` is, and at most ``jobs`` items are ahead of the consumer, so that memory is
    bounded.

    Parameters
    ----------
    function : callable
        Takes one item. A `SlabkitError` it raises is kept for that item; anything else is a defect
        and passes through.
    items : iterable
    jobs : int, optional

    Yields
    ------
    Outcome
        One an item, in order.
    """

    def attempt(item: Item) -> Outcome[Item, Result]:
        try:
            return Outcome(item, value=function(item))
        except SlabkitError as error:
            return Outcome(item, error=error)

    if jobs <= 1:
        yield from map(attempt, items)
        return
    source = iter(items)
    with ThreadPoolExecutor(jobs) as pool:
        waiting: list[Future[Outcome[Item, Result]]] = [
            pool.submit(attempt, item) for item in islice(source, jobs)
        ]
        while waiting:
            outcome = waiting.pop(0).result()
            waiting.extend(pool.submit(attempt, item) for item in islice(source, 1))
            yield outcome
