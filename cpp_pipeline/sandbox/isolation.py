"""One command in a bubblewrap box: namespaces, a minimal read-only root, limits, a deadline.

Belongs here: how a box is started, bounded and ended. Not here: what runs in it, and whether the box holds (`probes`).
"""

from __future__ import annotations

import contextlib
import os
import selectors
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cpp_pipeline.sandbox.seccomp import denylist

NOBODY = 65534
_ROOT_LINKS = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
_CHUNK = 1 << 16


class IsolationError(Exception):
    """No box can be had; the message says why and what to do."""


@dataclass(frozen=True)
class Limits:
    """Bounds of one box; `cpu_seconds` and `memory_bytes` hold for each process in it."""

    wall_seconds: float = 20.0
    cpu_seconds: int = 10
    memory_bytes: int = 1 << 29
    processes: int = 48
    file_bytes: int = 16 << 20
    open_files: int = 64
    output_bytes: int = 1 << 20
    workspace_bytes: int = 32 << 20


@dataclass(frozen=True)
class Box:
    """A command and what it may see: `readonly` and `writable` map host folders to paths in the box."""

    argv: Sequence[str]
    limits: Limits = field(default_factory=Limits)
    stdin: bytes = b""
    readonly: Sequence[tuple[str, str]] = ()
    writable: Sequence[tuple[str, str]] = ()
    proc: bool = False


@dataclass(frozen=True)
class BoxResult:
    """What a box left: exit code (128 + signal when killed), capped output, and why it was ended early.

    `killed` is true when neither the deadline nor the flood rule ended a box that died of SIGKILL. From out here a
    program that kills itself and all others of its box looks the same as one that the machine killed; so only those
    callers may take it for trouble of the machine that run nothing which can send signals.
    """

    exit_code: int
    stdout: bytes
    stderr: bytes
    timed_out: bool
    flooded: bool
    wall_seconds: float

    @property
    def killed(self) -> bool:
        """Ended by a SIGKILL that is not ours."""
        return self.exit_code == 128 + signal.SIGKILL and not self.timed_out and not self.flooded


class Bubblewrap:
    """Runs boxes with bubblewrap under an unprivileged uid.

    Parameters
    ----------
    scratch : Path
        Folder for the filter program; must be readable by `nobody`.
    bwrap : str
        Program name or path.

    Raises
    ------
    IsolationError
        bubblewrap is missing or this machine has no filter table.
    """

    name = "bubblewrap"

    def __init__(self, scratch: Path, bwrap: str = "bwrap") -> None:
        found = shutil.which(bwrap)
        if found is None:
            raise IsolationError(f"{bwrap} is not installed; on Debian: apt-get install bubblewrap")
        prlimit = shutil.which("prlimit")
        if prlimit is None:
            raise IsolationError("prlimit is not installed; on Debian: apt-get install util-linux")
        self.bwrap, self.prlimit = found, prlimit
        try:
            program = denylist()
        except ValueError as error:
            raise IsolationError(str(error)) from error
        self.filter = scratch / "seccomp.bpf"
        self.filter.write_bytes(program)
        self.filter.chmod(0o644)
        self.drop_root = os.geteuid() == 0
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._closed = False

    def close(self) -> None:
        """End every running box and start no more."""
        with self._lock:
            self._closed = True
            for process in self._running:
                _kill(process)

    def run(self, box: Box) -> BoxResult:
        """Run one box to its end, its deadline or its output cap.

        Raises
        ------
        IsolationError
            The box did not start, or the sandbox was closed while it ran: what it left says nothing then.
        """
        status_read, status_write = os.pipe()
        filter_fd = os.open(self.filter, os.O_RDONLY)
        with tempfile.TemporaryFile() as stdin, open(status_read, "rb") as status:
            stdin.write(box.stdin)
            stdin.seek(0)
            try:
                process = self._start(box, stdin.fileno(), status_write, filter_fd)
            finally:
                os.close(status_write)
                os.close(filter_fd)
            try:
                result = _collect(process, box.limits)
            finally:
                with self._lock:
                    self._running.discard(process)
            if self._closed:
                raise IsolationError("the sandbox is shutting down")
            # bubblewrap itself writes this line, on a descriptor that the boxed program never has
            if b'"child-pid"' not in status.read(1 << 12):
                tail = result.stderr[-400:].decode("utf-8", "replace").strip()
                raise IsolationError(f"bubblewrap did not start a box (exit {result.exit_code}): {tail}")
        return result

    def _start(self, box: Box, stdin: int, status_fd: int, filter_fd: int) -> subprocess.Popen[bytes]:
        argv = [
            *(self.bwrap, "--unshare-all", "--die-with-parent", "--new-session"),
            *("--uid", str(NOBODY), "--gid", str(NOBODY), "--hostname", "box", "--clearenv"),
            *("--setenv", "PATH", "/usr/bin:/bin", "--setenv", "LC_ALL", "C.UTF-8"),
            # fresh and freed heap memory holds a pattern, so that reading it is never right by chance
            *("--setenv", "MALLOC_PERTURB_", "165"),
            *("--ro-bind", "/usr", "/usr"),
        ]
        for name in _ROOT_LINKS:
            path = Path("/", name)
            if path.is_symlink():
                argv += ["--symlink", os.readlink(path), f"/{name}"]
            elif path.is_dir():
                argv += ["--ro-bind", f"/{name}", f"/{name}"]
        argv += ["--dev", "/dev", "--size", str(box.limits.workspace_bytes), "--tmpfs", "/tmp", "--dir", "/box"]
        if box.proc:
            argv += ["--proc", "/proc"]
        for outside, inside in box.readonly:
            argv += ["--ro-bind", outside, inside]
        for outside, inside in box.writable:
            argv += ["--bind", outside, inside]
        argv += ["--remount-ro", "/", "--remount-ro", "/dev", "--chdir", "/tmp"]
        argv += ["--seccomp", str(filter_fd), "--json-status-fd", str(status_fd), "--"]
        argv += [self.prlimit, *_limit_flags(box.limits), "--", *box.argv]
        identity = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if self.drop_root else {}
        with self._lock:
            if self._closed:
                raise IsolationError("the sandbox is shutting down")
            try:
                process: subprocess.Popen[bytes] = subprocess.Popen(
                    argv,
                    stdin=stdin,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    pass_fds=(status_fd, filter_fd),
                    env={},
                    start_new_session=True,
                    cwd="/",
                    **identity,  # type: ignore[call-overload]
                )
            except OSError as error:
                user = f" as uid {NOBODY}" if self.drop_root else ""
                raise IsolationError(f"bubblewrap cannot be started{user}: {error}") from error
            self._running.add(process)
        return process


def _limit_flags(limits: Limits) -> list[str]:
    # set inside the box: only there is the process count that of the box's own user namespace
    return [
        f"--cpu={limits.cpu_seconds}:{limits.cpu_seconds + 1}",
        f"--as={limits.memory_bytes}",
        f"--nproc={limits.processes}",
        f"--fsize={limits.file_bytes}",
        f"--nofile={limits.open_files}",
        f"--stack={64 << 20}",
        "--core=0",
        "--memlock=0",
        "--msgqueue=0",
    ]


def _collect(process: subprocess.Popen[bytes], limits: Limits) -> BoxResult:
    """Read both outputs up to the cap until they end; kill at the deadline or on a flood."""
    assert process.stdout is not None and process.stderr is not None
    kept: dict[int, bytearray] = {process.stdout.fileno(): bytearray(), process.stderr.fileno(): bytearray()}
    started = time.monotonic()
    timed_out = flooded = False
    with selectors.DefaultSelector() as selector:
        for fd in kept:
            selector.register(fd, selectors.EVENT_READ)
        while selector.get_map():
            left = started + limits.wall_seconds - time.monotonic()
            events = selector.select(max(0.0, left))
            if left <= 0 or not events:
                timed_out = True
                break
            for key, _ in events:
                chunk = os.read(key.fd, _CHUNK)
                if not chunk:
                    selector.unregister(key.fd)
                elif len(kept[key.fd]) + len(chunk) > limits.output_bytes:
                    flooded = True
                else:
                    kept[key.fd] += chunk
            if flooded:
                break
    if timed_out or flooded:
        _kill(process)
    exit_code = _wait(process, started + limits.wall_seconds)
    out, err = (bytes(kept[stream.fileno()]) for stream in (process.stdout, process.stderr))
    process.stdout.close()
    process.stderr.close()
    return BoxResult(
        exit_code if exit_code >= 0 else 128 - exit_code,
        *(out, err, timed_out, flooded, time.monotonic() - started),
    )


def _wait(process: subprocess.Popen[bytes], deadline: float) -> int:
    try:
        return process.wait(max(1.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        _kill(process)
        return process.wait()


def _kill(process: subprocess.Popen[bytes]) -> None:
    # the box's init dies with bubblewrap, and its whole process namespace with it
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
