"""The peer: plain g++ for each program, as the C++ evaluator of MultiPL-E calls it (nuprl/MultiPL-E, evaluation/src).

Our own small writing. MultiPL-E also keeps results by the text of a program; a caller that compares with that counts
each distinct text once. A program is written to a file, `g++ -std=c++17 file -o binary` compiles it, the binary runs,
and exit code 0 is a pass. There is one process a worker, and each takes one program after the other. Compiler and
binary run in our boxes, since the programs are no more to be trusted here than there; `Evaluated.cpu_seconds` has the
CPU time of an empty box taken off for each of them, so that the peer pays for no isolation.

The program reads JSON on its stdin: {"programs": [...], "flags": [...]}, and prints a list of `Evaluated`.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from cpp_pipeline.sandbox.isolation import Backend, Box, BoxResult, Limits
from cpp_pipeline.sandbox.isolation.choose import open_backend

_COMPILE = Limits(60, 15, 2 << 30, 48, 64 << 20, 256, 4 << 20, 256 << 20)
_RUN = Limits(15, 3, 512 << 20, 48)
_UNLIMITED_SPACE = Limits(60, 15, 1 << 30, 48, address_space=False)  # sanitizers reserve terabytes
_EMPTY_BOXES = 15
_STDERR_KEPT = 8192
_PLAIN = {"MALLOC_PERTURB_": "0", "ASAN_OPTIONS": "detect_leaks=0"}
SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-D_GLIBCXX_ASSERTIONS", "-g1")


@dataclass(frozen=True)
class Evaluated:
    """One program: whether it compiled and left with exit code 0, its CPU seconds, the end of what it said."""

    passed: bool
    compiled: bool
    cpu_seconds: float
    stderr: str


def evaluate(programs: Sequence[str], workers: int, flags: Sequence[str] = ()) -> list[Evaluated]:
    """Every program once, in order, by `workers` processes side by side; `flags` go to the compiler."""
    shares = [list(programs[at::workers]) for at in range(workers)]
    with ThreadPoolExecutor(workers) as pool:
        found = list(pool.map(lambda share: _worker(share, flags), shares))
    return [found[at % workers][at // workers] for at in range(len(programs))]


def _worker(programs: Sequence[str], flags: Sequence[str]) -> list[Evaluated]:
    order = json.dumps({"programs": list(programs), "flags": list(flags)})
    argv = [sys.executable, "-m", "benchmarks.common.peer"]
    done = subprocess.run(argv, input=order, stdout=subprocess.PIPE, text=True, check=True)
    return [Evaluated(**item) for item in json.loads(done.stdout)]


def children_seconds() -> float:
    """User and system time of all children that were waited for, and of theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def empty_box_seconds(boxes: Backend, count: int = _EMPTY_BOXES) -> list[float]:
    """CPU seconds of each of `count` boxes that run /bin/true."""
    costs = []
    for _ in range(count):
        before = children_seconds()
        boxes.run(Box(["/bin/true"]))
        costs.append(children_seconds() - before)
    return costs


class _Peer:
    def __init__(self, work: Path, flags: Sequence[str]) -> None:
        self.work, self.flags = work, list(flags)
        self.boxes = open_backend("auto", work)
        self.empty = statistics.median(empty_box_seconds(self.boxes))

    def evaluate(self, program: str) -> Evaluated:
        folder = Path(tempfile.mkdtemp(dir=self.work))
        source = folder / "program.cpp"
        source.write_text(program, encoding="utf-8")
        out = folder / "out"
        out.mkdir(mode=0o755)
        folder.chmod(0o755)
        if self.boxes.uid != os.geteuid():
            os.chown(out, self.boxes.uid, -1)
        before = children_seconds()
        try:
            return self._judged(source, out, before)
        finally:
            shutil.rmtree(folder)

    def _judged(self, source: Path, out: Path, before: float) -> Evaluated:
        argv = ["/usr/bin/g++", "-std=c++17", *self.flags, "/box/program.cpp", "-o", "/out/program"]
        box = Box(argv, _COMPILE, readonly=[(str(source), "/box/program.cpp")], writable=[(str(out), "/out")])
        compiled = self.boxes.run(box)
        if compiled.exit_code != 0:
            return self._evaluated(compiled, False, before, 1)
        limits = _UNLIMITED_SPACE if self.flags else _RUN
        mounts = [(str(out / "program"), "/box/program")]
        ran = self.boxes.run(Box(["/box/program"], limits, readonly=mounts, proc=bool(self.flags), environment=_PLAIN))
        return self._evaluated(ran, True, before, 2)

    def _evaluated(self, last: BoxResult, compiled: bool, before: float, count: int) -> Evaluated:
        spent = children_seconds() - before - count * self.empty
        said = last.stderr.decode("utf-8", "replace")[-_STDERR_KEPT:]
        return Evaluated(compiled and last.exit_code == 0, compiled, spent, said)

    def close(self) -> None:
        self.boxes.close()


def main() -> None:
    """One worker."""
    order = json.load(sys.stdin)
    with tempfile.TemporaryDirectory(prefix="cpp-pipeline-peer-") as work:
        Path(work).chmod(0o755)
        peer = _Peer(Path(work), order["flags"])
        try:
            json.dump([asdict(peer.evaluate(program)) for program in order["programs"]], sys.stdout)
        finally:
            peer.close()


if __name__ == "__main__":
    main()
