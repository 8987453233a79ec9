"""Every attempt's log, while it grows.

Each pod is followed by a thread of its own, since one may still be ending while the next begins. A connection
that is lost is made again; lines are told apart by their time stamps, so that none comes twice. Logs are for people:
a Job goes on without them.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime

from cpp_pipeline.launch.k8s.api import Cluster, ClusterError
from cpp_pipeline.launch.k8s.findings import Object, has_ended, has_started

logger = logging.getLogger(__name__)
TAIL_LINES = 50
_REFUSED = (401, 403)
_AGAIN_SECONDS, _REFUSED_SECONDS = 0.5, 30.0
_LAST_SECONDS = 30.0


class PodLogs:
    """Follows the logs of a Job's pods and hands their lines on.

    Parameters
    ----------
    sink
        Takes (pod, line without its time stamp); called from several threads, one at a time.
    """

    def __init__(self, cluster: Cluster, sink: Callable[[str, str], None]) -> None:
        self._cluster = cluster
        self._sink = sink
        self._lock = threading.Lock()
        self._threads: dict[str, threading.Thread] = {}
        self._ended: set[str] = set()
        self._tails: dict[str, deque[str]] = {}
        self._finishing = threading.Event()
        self._refused = self._closed = False

    def look_at(self, pods: list[Object]) -> None:
        """Begin with the pods that have a log and are not followed yet; note which have ended or are gone."""
        names = {p["metadata"]["name"] for p in pods}
        self._ended |= {p["metadata"]["name"] for p in pods if has_ended(p)} | (self._threads.keys() - names)
        for pod in pods:
            name = pod["metadata"]["name"]
            if name not in self._threads and has_started(pod):
                self._threads[name] = threading.Thread(target=self._follow, args=(name,), daemon=True)
                self._threads[name].start()

    def finish(self) -> None:
        """Wait until what has ended is read to its end."""
        deadline = time.monotonic() + _LAST_SECONDS
        self._ended |= self._threads.keys()
        self._finishing.set()
        for thread in self._threads.values():
            thread.join(max(0.0, deadline - time.monotonic()))

    def stop(self) -> None:
        """Hand nothing on any more: nobody listens. Threads end with the next line, or with the connection."""
        self._closed = True
        self._ended |= self._threads.keys()
        self._finishing.set()

    def tail(self, pod: str) -> list[str]:
        """The last lines of a pod."""
        with self._lock:
            return list(self._tails.get(pod, ()))

    @property
    def newest(self) -> str:
        """The pod whose log began last, or nothing."""
        return next(reversed(self._threads), "")

    def _follow(self, pod: str) -> None:
        last, same = "", 0
        while True:
            was_ended, pause, problem = pod in self._ended, _AGAIN_SECONDS, ""
            try:
                seen = 0
                for line in self._cluster.log(pod, _seconds_since(last)):
                    if self._closed:
                        return
                    stamp, _, text = line.partition(" ")
                    if stamp < last:
                        continue
                    seen = seen + 1 if stamp == last else 1
                    if stamp == last and seen <= same:
                        continue
                    last, same = stamp, seen
                    self._hand_on(pod, text)
            except ClusterError as error:
                if error.status == 404:
                    return
                problem = f"[its log cannot be read: {' '.join(str(error).split())}]"
                if error.status in _REFUSED:
                    pause = _REFUSED_SECONDS
                    self._tell_refusal(error)
            except Exception as error:  # noqa: BLE001 - whatever it is, the Job goes on
                problem = f"[its log broke off: {type(error).__name__}]"
            if was_ended:
                if problem:
                    self._hand_on(pod, problem)
                return
            if pod not in self._ended:
                self._finishing.wait(pause)

    def _tell_refusal(self, error: ClusterError) -> None:
        with self._lock:
            told, self._refused = self._refused, True
        if not told:
            logger.warning("logs of the Job's pods cannot be read, the Job goes on without them: %s", error)

    def _hand_on(self, pod: str, text: str) -> None:
        with self._lock:
            if self._closed:
                return
            self._tails.setdefault(pod, deque(maxlen=TAIL_LINES)).append(text)
            self._sink(pod, text)


def _seconds_since(stamp: str) -> int | None:
    """Whole seconds that reach back before a time stamp of the kubelet."""
    if not stamp:
        return None
    then = datetime.fromisoformat(stamp[:19]).replace(tzinfo=UTC)
    return max(1, int((datetime.now(UTC) - then).total_seconds()) + 2)
