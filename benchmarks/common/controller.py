"""A controller as a child of the benchmark, so that its process tree can be read, killed and started again."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from benchmarks.common.processes import cpu_seconds

_READY_SECONDS, _STOP_SECONDS = 30, 40
_SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$")


class Controller:
    """`cpp_pipeline.sandbox serve` without a verdict cache, ready when the constructor returns.

    Parameters
    ----------
    workers : int
        Boxes side by side.
    options : str
        Further words of the command line.
    port : int
        0 takes a free one.
    scratch : Path, optional
        Folder for its temporary files, in place of the machine's.
    """

    def __init__(self, workers: int, *options: str, port: int = 0, scratch: Path | None = None) -> None:
        argv = [sys.executable, "-m", "cpp_pipeline.sandbox", "serve", "--port", str(port), "--workers", str(workers)]
        argv += ["--cache", "none", "--die-with-parent", *options]
        environment = {**os.environ, **({"TMPDIR": str(scratch)} if scratch else {})}
        self._process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, env=environment
        )
        self.pid = self._process.pid
        try:
            self.url = self._address()
        except BaseException:
            self.stop()
            raise
        self.port = int(self.url.rsplit(":", 1)[1])

    def _address(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        if not line.startswith("listening "):
            raise RuntimeError(f"the controller did not start: {line or 'see its log above'}")
        url = line.removeprefix("listening ")
        httpx.get(f"{url}/readyz", timeout=_READY_SECONDS, trust_env=False).raise_for_status()
        return url

    def cpu_seconds(self) -> float:
        """CPU seconds of the controller and of everything in its boxes, since it was started."""
        return cpu_seconds(self.pid)

    def metric(self, name: str, **labels: str) -> float:
        """Sum of a metric's samples that carry these labels."""
        text = httpx.get(f"{self.url}/metrics", timeout=30, trust_env=False).text
        total = 0.0
        for line in text.splitlines():
            match = _SAMPLE.match(line)
            if match and match[1] == name:
                found = dict(re.findall(r'(\w+)="([^"]*)"', match[2] or ""))
                total += float(match[3]) if labels.items() <= found.items() else 0.0
        return total

    def kill(self) -> None:
        """SIGKILL, as the machine would."""
        os.kill(self.pid, signal.SIGKILL)
        self._process.wait()
        self._close()

    def stop(self) -> None:
        """SIGTERM, and the end of it."""
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        finally:
            self._close()

    def _close(self) -> None:
        if self._process.stdout is not None:
            self._process.stdout.close()


@contextmanager
def controller(workers: int, *options: str, scratch: Path | None = None) -> Iterator[Controller]:
    """A controller for the time of a block."""
    running = Controller(workers, *options, scratch=scratch)
    try:
        yield running
    finally:
        running.stop()


@contextmanager
def fresh_controller(workers: int) -> Iterator[Controller]:
    """A controller that finds nothing of an earlier one, for the time of a block."""
    with tempfile.TemporaryDirectory(prefix="cpp-pipeline-bench-") as folder:
        os.chmod(folder, 0o755)
        with controller(workers, scratch=Path(folder)) as running:
            yield running
