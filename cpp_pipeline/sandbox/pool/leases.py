"""Leases: pods that are held for a while, used by one batch at a time, and given back.

Belongs here: how many are held, who gets one, when one is replaced. Not here: the cluster (`claims`), and the jobs
(`judge`). A pod is claimed before it is needed, since that takes seconds, and never for a single job.
"""

from __future__ import annotations

import contextlib
import logging
import math
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol

from cpp_pipeline.sandbox.client import SandboxClient, SandboxUnavailable
from cpp_pipeline.sandbox.metrics import Metrics
from cpp_pipeline.sandbox.pool.claims import Claimed, PoolEmpty, PoolError

logger = logging.getLogger(__name__)
_TICK_SECONDS = 0.5
_AT_ONCE = 8


class Source(Protocol):
    """Where pods come from; see `claims.Claims`."""

    def claim(self, seconds: float) -> Claimed:
        """A pod that is ready; raises PoolError."""

    def abandon(self) -> None:
        """End the claims that are waited for."""

    def give_back(self, name: str) -> None:
        """Remove a claim; raises PoolError."""

    def left_over(self) -> list[str]:
        """Claims of a process before this one; raises PoolError."""


@dataclass(frozen=True)
class Terms:
    """How pods are held.

    Parameters
    ----------
    least, most : int
        Pods held when there is no work, and at most.
    uses : int
        Batches after which a pod is given back.
    seconds : float
        Time after which a pod is given back.
    idle_seconds : float
        Time after which a pod without work is given back, if there are more than `least`.
    claim_seconds : float
        Longest time that a claimed pod may take to become ready: one that is not warm has to be started, perhaps on a
        new node. Then its claim is given back.
    patience_seconds : float
        Longest time that work waits for a pod while none is held; its claim goes on for work that comes later.
    again_seconds : float
        Wait before the next claim when one failed.
    """

    least: int = 1
    most: int = 8
    uses: int = 200
    seconds: float = 1800.0
    idle_seconds: float = 120.0
    claim_seconds: float = 300.0
    patience_seconds: float = 30.0
    again_seconds: float = 5.0


@dataclass(eq=False)
class Lease:
    """One pod. Who uses it sets `lost` when it no longer answers."""

    claim: str
    client: SandboxClient
    about: dict[str, Any]
    since: float = field(default_factory=time.monotonic)
    idle_since: float = field(default_factory=time.monotonic)
    uses: int = 0
    lost: bool = False


class Leases:
    """The pods that one controller holds.

    Parameters
    ----------
    connect : Callable
        Makes the client of a pod's judge from the pod's address.
    """

    def __init__(self, source: Source, terms: Terms, metrics: Metrics, connect: Callable[[str], SandboxClient]) -> None:
        self.terms, self.about = terms, dict[str, Any]()
        self._source, self._metrics, self._connect = source, metrics, connect
        self._changed = threading.Condition()
        self._idle: list[Lease] = []
        self._busy: set[Lease] = set()
        self._pending = self._waiting = 0
        self._trouble: PoolError | None = None
        self._again_at = 0.0
        self._closed = False
        # half of them to claim, which may take minutes, and half to give back
        self._workers = ThreadPoolExecutor(2 * _AT_ONCE, thread_name_prefix="claim")
        self._keeper = threading.Thread(target=self._keep, name="leases", daemon=True)

    def open(self) -> None:
        """Remove what a process before this one has left, and begin to claim. Raises PoolError."""
        for name in self._source.left_over():
            logger.warning("claim %s was left by a process before this one: it is given back", name)
            self._give_back(name, "orphan")
        self._keeper.start()

    def wait_seconds(self) -> int:
        """0 when a pod is held; else whole seconds until there may be one."""
        with self._changed:
            if self._idle or self._busy:
                return 0
            return max(1, math.ceil(self._again_at - time.monotonic()))

    @contextlib.contextmanager
    def lease(self, deadline: float | None = None) -> Iterator[Lease]:
        """A pod for the time of a block; waits for one, until `deadline` (of `time.monotonic`) at most.

        Raises
        ------
        PoolError
            There is none, and none is to be had now.
        """
        lease = self._take(deadline)
        try:
            yield lease
        finally:
            self._return(lease)

    def close(self) -> None:
        """Give back every pod; what is at work in one is lost."""
        with self._changed:
            self._closed = True
            held = [*self._idle, *self._busy]
            self._idle = []
            self._changed.notify_all()
        if self._keeper.is_alive():
            self._keeper.join()
        for lease in held:
            lease.client.close()
        self._source.abandon()
        self._workers.shutdown(wait=True)  # a pod that came all the same is given back there
        with ThreadPoolExecutor(_AT_ONCE) as threads:
            list(threads.map(lambda lease: self._give_back(lease.claim, "closing"), held))

    def _take(self, deadline: float | None) -> Lease:
        with self._changed:
            self._waiting += 1
            self._changed.notify_all()
            until = time.monotonic() + self.terms.patience_seconds
            try:
                while True:
                    if self._closed:
                        raise PoolError("the controller is stopping")
                    if self._idle:
                        lease = self._idle.pop()
                        self._busy.add(lease)
                        return lease
                    if self._trouble is not None and not self._busy:
                        raise PoolError(str(self._trouble))
                    if deadline is not None and time.monotonic() > deadline:
                        raise PoolError("the deadline passed before a pod was free")
                    if self._busy:
                        until = time.monotonic() + self.terms.patience_seconds
                    elif time.monotonic() > until:
                        raise PoolEmpty(f"no pod is ready after {self.terms.patience_seconds:.0f} s; one is starting")
                    self._changed.wait(_TICK_SECONDS)
            finally:
                self._waiting -= 1
                self._count()

    def _return(self, lease: Lease) -> None:
        lease.uses += 1
        lease.idle_since = time.monotonic()
        with self._changed:
            self._busy.discard(lease)
            if not self._closed:
                self._idle.append(lease)
            self._retire_some()
            self._count()
            self._changed.notify_all()

    def _keep(self) -> None:
        """Claim and give back until closed."""
        with self._changed:
            while not self._closed:
                self._retire_some()
                held = len(self._idle) + len(self._busy) + self._pending
                wanted = min(self.terms.most, max(self.terms.least, len(self._busy) + self._waiting))
                now = time.monotonic()
                if now >= self._again_at:
                    for _ in range(min(wanted - held, _AT_ONCE - self._pending)):
                        self._pending += 1
                        self._workers.submit(self._claim)
                self._count()
                self._changed.wait(_TICK_SECONDS)

    def _claim(self) -> None:
        started = time.monotonic()
        lease: Lease | None = None
        trouble: PoolError | None = None
        try:
            lease = self._connected(self._source.claim(self.terms.claim_seconds))
            self._metrics.observe("sandbox_pool_claim_seconds", time.monotonic() - started)
        except PoolError as error:
            trouble = error
            logger.warning("no pod: %s", error)
        self._metrics.add("sandbox_pool_claims_total", outcome=type(trouble).__name__ if trouble else "ready")
        with self._changed:
            self._pending -= 1
            self._trouble = trouble
            self._again_at = time.monotonic() + (self.terms.again_seconds if trouble else 0.0)
            wanted = lease is not None and not self._closed
            if lease is not None and wanted:
                self.about = lease.about
                self._idle.append(lease)
            self._changed.notify_all()
        if lease is not None and not wanted:
            self._retire(lease, "closing")

    def _connected(self, claimed: Claimed) -> Lease:
        client = self._connect(claimed.address)
        try:
            about = client.capabilities()
            if about.get("reason"):
                raise SandboxUnavailable(f"it judges nothing: {about['reason']}")
        except SandboxUnavailable as error:
            client.close()
            self._give_back(claimed.claim, "unusable")
            raise PoolError(f"the pod of claim {claimed.claim} cannot be used: {error}") from error
        return Lease(claimed.claim, client, about)

    def _retire_some(self) -> None:
        """Hand over to a thread what is to be given back. The caller holds the lock."""
        for lease in list(self._idle):
            reason = self._reason(lease)
            if reason:
                self._idle.remove(lease)
                self._workers.submit(self._retire, lease, reason)

    def _reason(self, lease: Lease) -> str:
        now = time.monotonic()
        if lease.lost:
            return "lost"
        if lease.uses >= self.terms.uses:
            return "uses"
        if now - lease.since > self.terms.seconds:
            return "age"
        spare = len(self._idle) + len(self._busy) > max(self.terms.least, len(self._busy) + self._waiting)
        return "idle" if spare and now - lease.idle_since > self.terms.idle_seconds else ""

    def _retire(self, lease: Lease, reason: str) -> None:
        lease.client.close()
        self._give_back(lease.claim, reason)

    def _give_back(self, claim: str, reason: str) -> None:
        self._metrics.add("sandbox_pool_retired_total", reason=reason)
        try:
            self._source.give_back(claim)
        except PoolError as error:
            logger.warning("claim %s could not be given back, the cluster removes it later: %s", claim, error)

    def _count(self) -> None:
        states = {"idle": len(self._idle), "busy": len(self._busy), "pending": self._pending}
        for state, number in states.items():
            self._metrics.set("sandbox_pool_leases", number, state=state)
