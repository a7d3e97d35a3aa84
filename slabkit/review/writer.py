"""The one writer of the log: what comes in together is made durable together."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Sequence
from pathlib import Path

from slabkit.formats.review_log import ReviewLog
from slabkit.tables.events import Event


class Writer:
    """Writes events in a thread of its own; several callers share one commit."""

    def __init__(self, path: Path, about: dict[str, str]) -> None:
        self._log = ReviewLog(path, about)
        self.events = list(self._log.events())  # all that is in the log, oldest first
        self._known = {event.key for event in self.events}
        self._waiting: queue.SimpleQueue[
            tuple[Sequence[Event], asyncio.Future[int], asyncio.AbstractEventLoop] | None
        ] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write, name="log", daemon=True)
        self._thread.start()

    def has(self, key: str) -> bool:
        """Tell whether an event is in the log already."""
        return key in self._known

    async def append(self, events: Sequence[Event]) -> int:
        """Give the number of events in the log once these are in it for good."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[int] = loop.create_future()
        self._waiting.put((events, done, loop))
        return await done

    def _write(self) -> None:
        while (first := self._waiting.get()) is not None:
            batch = [first]
            stop = False
            while not self._waiting.empty():
                more = self._waiting.get()
                if more is None:
                    stop = True
                    break
                batch.append(more)
            events = [event for given, _, _ in batch for event in given]
            error: Exception | None = None
            try:
                self._log.append(events)
                for event in events:
                    if event.key not in self._known:
                        self._known.add(event.key)
                        self.events.append(event)
            except Exception as failure:
                error = failure
            count = len(self.events)
            for _, done, loop in batch:
                loop.call_soon_threadsafe(_settle, done, count, error)
            if stop:
                break

    def close(self) -> None:
        """Write what waits, then close the log."""
        self._waiting.put(None)
        self._thread.join()
        self._log.close()


def _settle(done: asyncio.Future[int], count: int, error: Exception | None) -> None:
    if done.cancelled():
        return
    if error is not None:
        done.set_exception(error)
    else:
        done.set_result(count)
