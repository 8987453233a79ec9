"""`python -m cpp_pipeline.launch.remote_entry --job URL ... -- COMMAND`: a command in a pod, on files of storage.

The command itself knows nothing of this: its inputs are fetched to the scratch disk before it starts, what it
writes is kept in storage while it runs (so that the next attempt goes on where an evicted one was), and its
output becomes the result, once, when it has left a `result.json`.

In COMMAND, `@input/NAME` stands for a fetched input and `@output` for the output folder.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType

from upath import UPath

from cpp_pipeline.launch import remote_files as files

DO_NOT_RETRY = 42
"""Exit code when another attempt would end the same way."""
INPUT, OUTPUT = "@input/", "@output"


def parser() -> argparse.ArgumentParser:
    """Flags of the entry; what follows `--` is the command."""
    flags = argparse.ArgumentParser(prog="python -m cpp_pipeline.launch.remote_entry", description=__doc__)
    flags.add_argument("--job", required=True, help="folder in storage for attempts and the result")
    flags.add_argument("--input", action="append", default=[], metavar="NAME=URL", help="file or folder to fetch")
    flags.add_argument("--pod", default="", help="who makes this attempt")
    flags.add_argument("--part", type=int, default=None, help="this part of the work; it has a job folder of its own")
    flags.add_argument("--node", type=int, default=0, help="of several nodes; only node 0 writes to storage")
    flags.add_argument("--sync_seconds", type=float, default=20.0, help="time between two copies of the output")
    flags.add_argument("command", nargs="+", help="the command, after --")
    return flags


class Attempt:
    """One try at the command, from the fetching of its inputs to the commit of its output."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.job = UPath(args.job) if args.part is None else UPath(args.job) / "parts" / f"{args.part:05d}"
        self.scratch = Path(tempfile.mkdtemp(prefix="attempt-"))
        self.output = self.scratch / "output"
        self.output.mkdir()
        self.child: subprocess.Popen[bytes] | None = None
        self.stopped_by = 0

    def run(self) -> int:
        """The exit code."""
        for stop in (signal.SIGTERM, signal.SIGINT):
            signal.signal(stop, self._stop)
        if files.committed(self.job) is not None:
            say(f"{self.job} has its result already")
            return 0
        try:
            inputs = {name: str(self._fetch(name, url)) for name, url in map(_pair, self.args.input)}
        except FileNotFoundError as error:
            say(f"input is missing: {error}")
            return DO_NOT_RETRY
        command = [self._local(part, inputs) for part in self.args.command]
        if self.args.node:
            files.restore(self.job, sys.maxsize, self.output)
            return self._call(command)
        number = files.claim(self.job, {"pod": self.args.pod})
        before = files.restore(self.job, number, self.output)
        say(f"attempt {number}" + (f" goes on from attempt {before}" if before else ""))
        mirror = files.Mirror(self.output, self.job / f"{number:05d}")
        code = 0
        if not (self.output / files.COMMIT).exists():  # else the attempt before was ended between finish and commit
            with Copying(mirror, self.args.sync_seconds, lambda: files.clear_earlier(self.job, number)):
                code = self._call(command)
        sizes = mirror.push(final=True)
        if files.COMMIT not in sizes:
            if code == 0:
                say(f"the command ended with exit code 0 and left no {files.COMMIT}: nothing is committed")
            return code or DO_NOT_RETRY
        if not files.commit(self.job, number, sizes, {"pod": self.args.pod}):
            if files.committed(self.job) is None:
                say("refused: a later attempt has taken over, and works on")
                return 1
            say(f"refused: {self.job} has the result of another attempt")
        return 0

    def _fetch(self, name: str, url: str) -> Path:
        started = time.monotonic()
        found = files.fetch(UPath(url), self.scratch / "inputs" / name)
        say(f"fetched {url} in {time.monotonic() - started:.1f} s")
        return found

    def _local(self, part: str, inputs: dict[str, str]) -> str:
        if part == OUTPUT:
            return str(self.output)
        return inputs[part.removeprefix(INPUT)] if part.startswith(INPUT) else part

    def _call(self, command: list[str]) -> int:
        if not self.stopped_by:
            self.child = subprocess.Popen(command)
            if self.stopped_by:  # it came while the process was being made
                self.child.send_signal(signal.SIGTERM)
            code = self.child.wait()
            self.child = None
            return code if code >= 0 else 128 - code
        return 128 + self.stopped_by

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.stopped_by = number
        if self.child is not None:
            self.child.send_signal(signal.SIGTERM)


class Copying:
    """Copies the output to storage every few seconds; a copy that fails is told, and tried again."""

    def __init__(self, mirror: files.Mirror, seconds: float, after_first: Callable[[], None]) -> None:
        self._mirror, self._seconds, self._after_first = mirror, seconds, after_first
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self) -> Copying:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _work(self) -> None:
        first = True
        while not self._end.wait(self._seconds):
            try:
                self._mirror.push()
                if first:
                    self._after_first()
                first = False
            except Exception as error:  # noqa: BLE001 - storage may be away for a while; the last copy must succeed
                say(f"copying the output failed, trying again: {error}")


def say(text: str) -> None:
    """A line of the pod's log."""
    print(f"remote_entry: {text}", file=sys.stderr, flush=True)


def _pair(text: str) -> tuple[str, str]:
    name, found, url = text.partition("=")
    if not found:
        raise ValueError(f"--input {text}: NAME=URL is needed")
    return name, url


def main(argv: Sequence[str] | None = None) -> int:
    """Run one attempt; returns its exit code."""
    attempt = Attempt(parser().parse_args(argv))
    try:
        return attempt.run()
    finally:
        shutil.rmtree(attempt.scratch, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
