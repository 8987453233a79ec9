"""`python -m cpp_pipeline.launch.remote_entry --job URL ... -- COMMAND`: a command in a pod, on files of storage.

The command itself knows nothing of this: its inputs are fetched to the scratch disk before it starts, what it
writes is kept in storage while it runs (so that the next attempt goes on where an evicted one was), and its
output becomes the result, once, when it has left a `result.json`.

Of several nodes the first one does so; the others run the command beside it until it has committed.

In COMMAND, `@input/NAME` stands for a fetched input and `@output` for the output folder. What ends an attempt before
its result is the last line of the log: `remote_entry: error: CAUSE`.
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
from cpp_pipeline.launch.patience import Patience, StorageFailed

DO_NOT_RETRY = 42
"""Exit code when another attempt would end the same way."""
PUT_ASIDE = 128 + signal.SIGTERM
"""Exit code of a node that is no use without the others; it is replaced, and no attempt is counted."""
INPUT, OUTPUT = "@input/", "@output"


def parser() -> argparse.ArgumentParser:
    """Flags of the entry; what follows `--` is the command."""
    flags = argparse.ArgumentParser(prog="python -m cpp_pipeline.launch.remote_entry", description=__doc__)
    flags.add_argument("--job", required=True, help="folder in storage for attempts and the result")
    flags.add_argument("--input", action="append", default=[], metavar="NAME=URL", help="file or folder to fetch")
    flags.add_argument("--pod", default="", help="who makes this attempt")
    flags.add_argument("--part", type=int, default=None, help="this part of the work; it has a job folder of its own")
    flags.add_argument("--node", type=int, default=0, help="of several nodes; only node 0 writes to storage")
    flags.add_argument("--patience_seconds", type=float, default=300.0, help="how long storage may be away")
    flags.add_argument("--peer_seconds", type=float, default=1800.0, help="how long other nodes wait for node 0's end")
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
        self.storage = Patience(args.patience_seconds, say, lambda: bool(self.stopped_by))
        self.child: subprocess.Popen[bytes] | None = None
        self.stopped_by = 0

    def run(self) -> int:
        """The exit code.

        Raises
        ------
        StorageFailed
            Storage was away for too long, or does not let this account in.
        """
        for stop in (signal.SIGTERM, signal.SIGINT):
            signal.signal(stop, self._stop)
        if self._is_committed():
            say(f"{self.job} has its result already")
            return 0
        try:
            inputs = {name: str(self._fetch(name, url)) for name, url in map(_pair, self.args.input)}
        except FileNotFoundError as error:
            raise StorageFailed(f"input is missing: {error}", is_final=True) from error
        command = [self._local(part, inputs) for part in self.args.command]
        return self._help(command) if self.args.node else self._make(command)

    def _make(self, command: list[str]) -> int:
        """Make the result, from where the attempt before has come to."""
        number = self.storage(lambda: files.claim(self.job, {"pod": self.args.pod}))
        before = self.storage(lambda: files.restore(self.job, number, self.output))
        say(f"attempt {number}" + (f" goes on from attempt {before}" if before else ""))
        mirror = files.Mirror(self.output, self.job / f"{number:05d}")
        code = 0
        if not (self.output / files.COMMIT).exists():  # else the attempt before was ended between finish and commit
            with Copying(mirror, self.args.sync_seconds, lambda: files.clear_earlier(self.job, number)):
                code = self._call(command)
        sizes = self.storage(lambda: mirror.push(final=True))
        if files.COMMIT not in sizes:
            if code == 0:
                say(f"error: the command ended with exit code 0 and left no {files.COMMIT}: nothing is committed")
            return code or DO_NOT_RETRY
        if not self.storage(lambda: files.commit(self.job, number, sizes, {"pod": self.args.pod})):
            if not self._is_committed():
                say("error: refused: a later attempt has taken over, and works on")
                return 1
            say(f"refused: {self.job} has the result of another attempt")
        return 0

    def _help(self, command: list[str]) -> int:
        """Run the command for as often as node 0 begins: only its commit ends the work of all."""
        while True:
            code = self._call(command, until=self._is_committed_now)
            if code:
                return 0 if self._is_committed() else code
            ended = self._wait_for_commit()
            if ended is not None:
                return ended
            say("node 0 has begun another attempt: taking part again")

    def _wait_for_commit(self) -> int | None:
        """The exit code; None when node 0 has begun anew, as one does that was lost before its commit."""
        attempts = self.storage(lambda: files.attempts(self.job))
        deadline = time.monotonic() + self.args.peer_seconds
        say("done here: waiting until node 0 has committed the result")
        while not self.stopped_by:
            if self._is_committed():
                return 0
            if self.storage(lambda: files.attempts(self.job)) > attempts:
                return None
            if time.monotonic() > deadline:
                say(f"error: node 0 has committed nothing for {self.args.peer_seconds:g} s: this node begins anew")
                return PUT_ASIDE
            time.sleep(min(2.0, self.args.sync_seconds))
        return 128 + self.stopped_by

    def _is_committed(self) -> bool:
        return self.storage(lambda: files.committed(self.job)) is not None

    def _is_committed_now(self) -> bool:
        try:
            return files.committed(self.job) is not None
        except Exception as error:  # noqa: BLE001 - asked again in a moment, while the command works on
            say(f"cannot see whether there is a result, trying again: {error}")
            return False

    def _fetch(self, name: str, url: str) -> Path:
        started = time.monotonic()
        found = self.storage(lambda: files.fetch(UPath(url), self.scratch / "inputs" / name))
        say(f"fetched {url} in {time.monotonic() - started:.1f} s")
        return found

    def _local(self, part: str, inputs: dict[str, str]) -> str:
        if part == OUTPUT:
            return str(self.output)
        return inputs[part.removeprefix(INPUT)] if part.startswith(INPUT) else part

    def _call(self, command: list[str], until: Callable[[], bool] | None = None) -> int:
        """The command's exit code; it is ended when it is of no use any more."""
        if self.stopped_by:
            return 128 + self.stopped_by
        child = self.child = subprocess.Popen(command)
        if self.stopped_by:  # it came while the process was being made
            child.send_signal(signal.SIGTERM)
        while until is not None and _runs(child, self.args.sync_seconds):
            if until():
                child.terminate()
                break
        code = child.wait()
        self.child = None
        return code if code >= 0 else 128 - code

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


def _runs(child: subprocess.Popen[bytes], seconds: float) -> bool:
    """Whether a process is there after so many seconds."""
    try:
        child.wait(seconds)
    except subprocess.TimeoutExpired:
        return True
    return False


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
    except StorageFailed as error:
        say(f"error: {error}")
        if error.is_final:
            return DO_NOT_RETRY
        return 128 + attempt.stopped_by if attempt.stopped_by else 1
    finally:
        shutil.rmtree(attempt.scratch, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
