"""Answers as they come, and answers kept for a request that is sent again.

Belongs here: one writer and many readers of the lines of an answer, and the bounded store of them by idempotency key.
Not here: what the lines say.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field

AHEAD_BYTES = 16 << 20
"""An answer that is not kept waits for its readers when it is this far ahead of them."""
_STALLED_SECONDS = 60.0
_GRACE_SECONDS = 60.0


class KeyReused(Exception):
    """The key belongs to another request."""


class Abandoned(Exception):
    """The answer stops before its end, since nobody read it for a while."""


@dataclass(eq=False)
class _Reader:
    wake: Callable[[], object]
    at: int = 0


class Answer:
    """Lines of one answer: one thread puts them, tasks of event loops read them, each from the first on.

    Parameters
    ----------
    kept : bool
        All lines stay for later readers, and the work goes on for a minute without any, so that a client whose
        connection broke finds it again. Otherwise lines are let go once they are read, and the work ends when the
        last reader has left.
    """

    def __init__(self, kept: bool = False) -> None:
        self._changed = threading.Condition()
        self._lines: list[bytes] = []
        self._freed = 0
        self._readers: set[_Reader] = set()
        self._abandoned: Callable[[], object] = lambda: None
        self.kept, self.done, self.wanted = kept, False, True
        self.size = 0
        self._left_at: float | None = None

    @property
    def read(self) -> bool:
        """Somebody reads it now."""
        return bool(self._readers)

    def on_abandoned(self, act: Callable[[], object]) -> None:
        """Call `act` once when nobody wants this answer any more."""
        self._abandoned = act

    def put(self, line: bytes) -> bool:
        """Add a line; False when nobody wants more of them. Waits for slow readers of an answer that is not kept."""
        with self._changed:
            self._lines.append(line)
            self.size += len(line)
            self._wake()
            if not self._changed.wait_for(lambda: not self._too_far_ahead(), _STALLED_SECONDS):
                self._unwanted()
            if self._left_at is not None and time.monotonic() - self._left_at > _GRACE_SECONDS:
                self._unwanted()
            return self.wanted

    def finish(self) -> None:
        """No more lines will come."""
        with self._changed:
            self.done = True
            self._wake()

    def release(self) -> None:
        """Stop keeping lines for later readers."""
        with self._changed:
            self.kept = False
            self._free()
            abandoned = self._left_at is not None and self._unwanted()
        if abandoned:
            self._abandoned()

    async def lines(self) -> AsyncGenerator[bytes, None]:
        """All lines so far, then each as it comes, several joined where they are there together.

        Raises
        ------
        Abandoned
            The reader was too slow, and the rest will not come.
        """
        changed = asyncio.Event()
        loop = asyncio.get_running_loop()
        reader = _Reader(lambda: loop.call_soon_threadsafe(changed.set))
        with self._changed:
            self._readers.add(reader)
            self._left_at = None
        try:
            while True:
                changed.clear()
                with self._changed:
                    ended, found = self.done, b"".join(self._lines[reader.at :])
                    last = len(self._lines)
                if found:
                    yield found
                    with self._changed:
                        reader.at = last
                        self._free()
                elif ended and not self.wanted:
                    raise Abandoned
                elif ended:
                    return
                else:
                    await changed.wait()
        finally:
            with self._changed:
                self._readers.discard(reader)
                self._left_at = None if self._readers else time.monotonic()
                abandoned = not self._readers and not self.kept and self._unwanted()
            if abandoned:
                self._abandoned()

    def _too_far_ahead(self) -> bool:
        return self.wanted and not self.kept and self.size > AHEAD_BYTES

    def _free(self) -> None:
        if self.kept or not self._readers:
            return
        low = min(r.at for r in self._readers)
        for at in range(self._freed, low):
            self.size -= len(self._lines[at])
            self._lines[at] = b""
        self._freed = max(self._freed, low)
        self._changed.notify_all()

    def _wake(self) -> None:
        for reader in self._readers:
            reader.wake()

    def _unwanted(self) -> bool:
        """Tell the writer to stop; True when it was still at work and not told before."""
        if self.done or not self.wanted:
            return False
        self.wanted = False
        self._changed.notify_all()
        return True


@dataclass
class Replays:
    """Answers by idempotency key, the oldest let go first when there are too many or too large ones.

    Parameters
    ----------
    most, most_bytes : int
        Bounds of the store; an answer that is let go while it is being written still reaches its readers.
    """

    most: int = 1000
    most_bytes: int = 256 << 20
    _kept: OrderedDict[str, tuple[bytes, Answer]] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __contains__(self, key: str) -> bool:
        with self._lock:
            return key in self._kept

    def find(self, key: str, digest: bytes) -> Answer | None:
        """The answer of an earlier request with this key; raises KeyReused when its body was another one."""
        with self._lock:
            found = self._kept.get(key)
        if found is None:
            return None
        if found[0] != digest:
            raise KeyReused("Idempotency-Key was used for another body; use a new key for a new request")
        return found[1]

    def keep(self, key: str, digest: bytes, answer: Answer) -> None:
        """Keep an answer under its key; `trim` afterwards."""
        with self._lock:
            self._kept[key] = (digest, answer)

    def forget(self, answer: Answer) -> None:
        """Let an answer go, so that the same request is worked on anew."""
        with self._lock:
            for key in [k for k, (_, kept) in self._kept.items() if kept is answer]:
                del self._kept[key]
        answer.release()

    def trim(self) -> None:
        """Keep the bounds; to be called when answers have grown."""
        gone = []
        with self._lock:
            total = sum(answer.size for _, answer in self._kept.values())
            while self._kept and (len(self._kept) > self.most or total > self.most_bytes):
                key = next((k for k, (_, answer) in self._kept.items() if answer.done), next(iter(self._kept)))
                _, answer = self._kept.pop(key)
                total -= answer.size
                gone.append(answer)
        for answer in gone:
            answer.release()
