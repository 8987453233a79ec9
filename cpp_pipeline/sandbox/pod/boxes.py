"""The judge's boxes: each is sent to the runner, which has other files and another uid.

Belongs here: the judge's side of a box. What is `trusted` (the program of the tests) never meets a candidate: it runs
here, in namespaces of its own. The connection is made once: a candidate that replaces the socket gains nothing, and a
runner that is lost ends the judge, so that both are started anew.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from cpp_pipeline.sandbox.isolation.box import Box, BoxResult, IsolationError, Level
from cpp_pipeline.sandbox.isolation.launcher import build
from cpp_pipeline.sandbox.isolation.process import source
from cpp_pipeline.sandbox.pod.channel import Lost, Parcel, Record, content, name_senders, receive, send
from cpp_pipeline.sandbox.pod.nested import Nested
from cpp_pipeline.sandbox.pod.probes import UNENFORCED, open_pod_probes
from cpp_pipeline.sandbox.pod.runner import VERSION

_CONNECT_SECONDS, _ANSWER_SECONDS = 120.0, 30.0
_AGAIN_SECONDS = 0.1


class PodBoxes:
    """Runs boxes in the runner's container, one at a time.

    Parameters
    ----------
    path : Path
        The runner's socket; it is waited for.
    folder : Path
        For boxes that run here.
    when_lost : Callable
        Called once when the runner is lost.

    Raises
    ------
    IsolationError
        There is no runner, it has our own uid or other messages, or boxes cannot be had here.
    """

    def __init__(self, path: Path, folder: Path, when_lost: Callable[[], object] = lambda: None) -> None:
        self.uid = os.geteuid()
        self.cgroup = ""
        self._here = Nested(folder)
        self._when_lost = when_lost
        self._turn = threading.Lock()
        self._closed = False
        self._link = _connected(path)
        try:
            about = self._hello(path)
        except BaseException:
            self._link.close()
            raise
        self.level: Level = "kernel" if about["level"] == self._here.level == "kernel" else "namespaces"
        self.name = f"pod-{about['boxes']}"

    def close(self) -> None:
        """End every running box and start no more."""
        self._closed = True
        self._here.close()
        with suppress(OSError):  # it may be gone already
            self._link.shutdown(socket.SHUT_RDWR)
        with self._turn:
            self._link.close()

    def run(self, box: Box) -> BoxResult:
        """Run one box to its end, its deadline or its output cap.

        Raises
        ------
        IsolationError
            The box did not start, the runner is lost, or the sandbox was closed while it ran.
        """
        if box.trusted:
            return self._here.run(box)
        with self._turn, ExitStack() as stack:
            if self._closed:
                raise IsolationError("the sandbox is shutting down")
            try:
                return self._asked(box, stack)
            except Lost as error:
                if not self._closed:
                    self._closed = True
                    self._when_lost()
                raise IsolationError(f"the runner was lost: {error}") from error

    def _asked(self, box: Box, stack: ExitStack) -> BoxResult:
        parcel = Parcel(stack)
        readonly = [[inside, parcel.add(Path(outside))] for outside, inside in box.readonly]
        writable = [[inside, parcel.add(Path(outside), copied=True)] for outside, inside in box.writable]
        files = parcel.descriptors()
        streams = [stack.enter_context(source(box.stdin)), *([] if box.stdout is None else [box.stdout])]
        record: Record = {
            "argv": list(box.argv),
            "limits": asdict(box.limits),
            "environment": dict(box.environment),
            "proc": box.proc,
            "readonly": readonly,
            "writable": writable,
            "stdin": len(files),
            "stdout": None if box.stdout is None else len(files) + 1,
        }
        self._link.settimeout(box.limits.wall_seconds + _ANSWER_SECONDS)
        send(self._link, record, [*files, *streams])
        reply, made = receive(self._link, stack, self.uid)
        if "error" in reply:
            raise IsolationError(str(reply["error"]))
        result = _result(reply, made, box)
        _take(reply["files"], made[2:], box)
        return result

    def _hello(self, path: Path) -> Record:
        with ExitStack() as stack:
            self._link.settimeout(_ANSWER_SECONDS)
            try:
                about, _ = receive(self._link, stack, self.uid)
            except Lost as error:
                raise IsolationError(f"the runner at {path} does not answer: {error}") from error
        if about.get("version") != VERSION:
            raise IsolationError(f"the runner at {path} has other messages: give both containers one image")
        if f"pod-{about.get('boxes')}" not in UNENFORCED:
            raise IsolationError(f"the runner at {path} has boxes of an unknown kind: {about.get('boxes')!r}")
        return about


def open_pod(path: Path, when_lost: Callable[[], object]) -> Callable[[Path], PodBoxes]:
    """How the judge gets its boxes: connected, and proven by probes; see `PodBoxes` for what may be raised."""

    def make(folder: Path) -> PodBoxes:
        boxes = PodBoxes(path, folder, when_lost)
        try:
            found = open_pod_probes(boxes, build("probe.c", folder), path, UNENFORCED[boxes.name])
            if found:
                raise IsolationError(f"this pod is refused, these probes are open: {', '.join(found)}")
        except BaseException:
            boxes.close()
            raise
        return boxes

    return make


def _connected(path: Path) -> socket.socket:
    deadline = time.monotonic() + _CONNECT_SECONDS
    while True:
        link = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        name_senders(link)
        try:
            link.connect(str(path))
        except OSError as error:
            link.close()
            if time.monotonic() > deadline:
                raise IsolationError(f"no runner at {path} ({error}): is its container up, with the volume?") from error
            time.sleep(_AGAIN_SECONDS)
        else:
            return link


def _result(reply: Record, files: Sequence[IO[bytes]], box: Box) -> BoxResult:
    try:
        found = BoxResult(**reply["result"])
        out, err = (content(file, box.limits.output_bytes) for file in files[:2])
        values = (found.exit_code, out, err, found.timed_out, found.flooded, found.wall_seconds, found.out_of_memory)
        kinds = (int, bytes, bytes, bool, bool, float, bool)
    except (KeyError, TypeError, ValueError) as error:
        raise Lost(f"an answer that cannot be read: {error!r}") from error
    if not all(isinstance(value, kind) for value, kind in zip(values, kinds, strict=True)):
        raise Lost("an answer with values of other types")
    return BoxResult(*values)


def _take(told: Sequence[Any], files: Sequence[IO[bytes]], box: Box) -> None:
    """Copy what a box made to the folders that it may write to; nothing of it is believed but its bytes."""
    try:
        for (number, name, executable), file in zip(told, files, strict=True):
            if Path(name).name != name or name in ("", ".", ".."):
                raise Lost(f"a file with the name {name!r}")
            target = Path(box.writable[number][0], name)
            target.unlink(missing_ok=True)
            data = content(file, box.limits.file_bytes)
            with target.open("xb") as copy:
                copy.write(data)
            target.chmod(0o755 if executable else 0o644)
    except (TypeError, ValueError, IndexError) as error:
        raise Lost(f"files that cannot be read: {error!r}") from error
