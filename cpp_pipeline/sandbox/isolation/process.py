"""Starting a box's command under our supervisor, reading what it writes, and ending all that comes of it.

Belongs here: what every backend shares on the host's side of a box. Not here: what stands between the command and the
host; that is the backend's.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import selectors
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from cpp_pipeline.sandbox.isolation.box import Box, BoxResult, IsolationError, Limits
from cpp_pipeline.sandbox.isolation.cgroup import Groups
from cpp_pipeline.sandbox.isolation.hierarchies import open_groups
from cpp_pipeline.sandbox.isolation.launcher import build

logger = logging.getLogger(__name__)
_CHUNK = 1 << 16
_GRACE_SECONDS = 5.0
_WATCH_SECONDS = 0.2


@dataclass(frozen=True)
class Order:
    """One start: `words` are the launcher's further options, `--` and the command.

    `descriptors` stay open for it, `environment` is all that it gets. `overhead` is what the backend's own processes
    need on top of the box's limits: bytes and number. `spent` is asked now and then; true ends the box as a flood.
    """

    words: Sequence[str]
    descriptors: Sequence[int] = ()
    environment: Mapping[str, str] | None = None
    overhead: tuple[int, int] = (0, 0)
    spent: Callable[[], bool] | None = None


class Processes:
    """Runs the commands of one backend; safe to use from several threads.

    Parameters
    ----------
    scratch : Path
        Private folder for the launcher; boxes must be able to read it.
    groups : Groups | None
        Control groups to use; by default what this machine offers.

    Raises
    ------
    IsolationError
        The launcher cannot be built.
    """

    def __init__(self, scratch: Path, groups: Groups | None = None) -> None:
        self.jail = build("jail.c", scratch)
        self.groups = open_groups(self.jail) if groups is None else groups
        self._changed = threading.Condition()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._closed = False

    def close(self) -> None:
        """End every running box, wait until they are gone, and start no more."""
        with self._changed:
            self._closed = True
            for process in self._running:
                process.terminate()
            self._changed.wait_for(lambda: not self._running, timeout=2 * _GRACE_SECONDS)
        self.groups.close()

    def run(self, box: Box, order: Callable[[int], Order], mark: bytes = b"started") -> BoxResult:
        """Run one box to its end, its deadline or its output cap; nothing of it is left then.

        Parameters
        ----------
        box : Box
            Limits and standard streams.
        order : Callable
            Makes the order from the descriptor on which a start is reported.
        mark : bytes
            What is written there once the command is confined.

        Raises
        ------
        IsolationError
            The box did not start, or the backend was closed while it ran: what it left says nothing then.
        """
        try:
            result, status = self._run(box, order)
        except OSError as error:
            raise IsolationError(f"a box cannot be run: {error}") from error
        if self._closed:
            raise IsolationError("the sandbox is shutting down")
        if mark not in status:
            tail = result.stderr[-400:].decode("utf-8", "replace").strip()
            raise IsolationError(f"a box did not start (exit {result.exit_code}): {tail}")
        return result

    def _run(self, box: Box, order: Callable[[int], Order]) -> tuple[BoxResult, bytes]:
        with contextlib.ExitStack() as stack:
            status_read, status_write = os.pipe()
            status = stack.enter_context(open(status_read, "rb"))
            with open(status_write, "wb") as status_end:
                asked = order(status_end.fileno())
                memory, count = asked.overhead
                lease = self.groups.lease(box.limits.memory_bytes + memory, box.limits.processes + count)
                group = stack.enter_context(lease)
                stdin = stack.enter_context(source(box.stdin))
                process = self._start(box, asked, stdin, group.descriptors, status_end.fileno())
            try:
                result = _collect(process, box.limits, asked.spent)
            finally:
                _end(process)
                for stream in filter(None, (process.stdout, process.stderr)):
                    stream.close()
                with self._changed:
                    self._running.discard(process)
                    self._changed.notify_all()
            return replace(result, out_of_memory=group.out_of_memory()), status.read(1 << 12)

    def _start(self, box: Box, asked: Order, stdin: int, groups: Sequence[int], status: int) -> subprocess.Popen[bytes]:
        joins = [word for fd in groups for word in ("-j", str(fd))]
        with self._changed:
            if self._closed:
                raise IsolationError("the sandbox is shutting down")
            process = subprocess.Popen(
                [self.jail, "-p", str(os.getpid()), *joins, *asked.words],
                stdin=stdin,
                stdout=subprocess.PIPE if box.stdout is None else box.stdout,
                stderr=subprocess.PIPE,
                pass_fds=(status, *groups, *asked.descriptors),
                env=dict(asked.environment or {}),
                start_new_session=True,
                cwd="/",
            )
            self._running.add(process)
        return process


@contextlib.contextmanager
def source(stdin: bytes | int) -> Iterator[int]:
    """A descriptor to read from; bytes lie in memory that the box cannot change."""
    if isinstance(stdin, int):
        yield stdin
        return
    with sealed(stdin) as file:
        yield file.fileno()


def sealed(data: bytes) -> IO[bytes]:
    """An open file in memory that nobody can change, read from its beginning."""
    fd = os.memfd_create("sealed", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    file = open(fd, "r+b", buffering=0)  # noqa: SIM115
    left = memoryview(data)
    while left:
        left = left[file.write(left) :]
    file.seek(0)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK)
    return file


def _collect(process: subprocess.Popen[bytes], limits: Limits, spent: Callable[[], bool] | None) -> BoxResult:
    """Read the outputs up to the cap until they end, then wait; end the box at the deadline or on a flood."""
    streams = [stream for stream in (process.stdout, process.stderr) if stream is not None]
    kept = {stream.fileno(): bytearray() for stream in streams}
    started = time.monotonic()
    deadline = started + limits.wall_seconds
    timed_out = flooded = False
    with selectors.DefaultSelector() as selector:
        for fd in kept:
            selector.register(fd, selectors.EVENT_READ)
        while selector.get_map() and not flooded:
            left = deadline - time.monotonic()
            if left <= 0:
                timed_out = True
                break
            for key, _ in selector.select(min(left, _WATCH_SECONDS) if spent else left):
                chunk = os.read(key.fd, _CHUNK)
                room = limits.output_bytes - len(kept[key.fd])
                kept[key.fd] += chunk[:room]
                flooded = flooded or len(chunk) > room
                if not chunk:
                    selector.unregister(key.fd)
            flooded = flooded or (spent is not None and spent())
    if not timed_out and not flooded:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            timed_out = True
    code = _end(process)
    out, err = (b"" if stream is None else bytes(kept[stream.fileno()]) for stream in (process.stdout, process.stderr))
    return BoxResult(code, out, err, timed_out, flooded, time.monotonic() - started)


def _end(process: subprocess.Popen[bytes]) -> int:
    """Exit code, after ending what still runs; the supervisor leaves only after all processes of the box."""
    if process.poll() is None:
        process.terminate()
    try:
        code = process.wait(_GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        logger.warning("a box could not be ended within %g s; its supervisor %d is killed", _GRACE_SECONDS, process.pid)
        process.kill()
        code = process.wait()
    return code if code >= 0 else 128 - code
