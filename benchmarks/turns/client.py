"""Start workers, ask them, and measure several in turn.

Belongs here: processes and their answers. Not here: what is asked.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

_HERE = Path(__file__).parent
_QUIET = {
    "OMP_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_OFFLINE": "1",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}
_STDERR_SHOWN = 3000


@dataclass(frozen=True)
class Answer:
    """What a call returned, its CPU seconds over all threads of the worker, and its seconds on the wall."""

    result: Any
    cpu: float
    wall: float


class Ask(Protocol):
    """Call a function of the worker's file; arguments and result are what JSON can hold."""

    def __call__(self, do: str, **arguments: Any) -> Answer: ...


@contextmanager
def worker(file: str, python: Path | None = None, **environment: str) -> Iterator[Ask]:
    """A process that serves the functions of `file`, a file of this package, with one thread for numbers.

    Parameters
    ----------
    python
        The interpreter of a peer's environment, which sees nothing of this project; default: this one.
    environment
        Variables on top of those of this process.

    Raises
    ------
    RuntimeError
        From a call: the worker has ended; with the last that it said.
    """
    loop = ["-I", str(_HERE / "serve.py")] if python else ["-m", "benchmarks.turns.serve"]
    command = [str(python or sys.executable), *loop, str(_HERE / file)]
    with tempfile.TemporaryDirectory(prefix="cpp-pipeline-bench-") as home, tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
            cwd=_HERE.parents[1],
            env={**os.environ, **_QUIET, "HF_HOME": home, **environment},
        )
        assert process.stdin is not None
        assert process.stdout is not None
        orders, answers = process.stdin, process.stdout

        def ask(do: str, **arguments: Any) -> Answer:
            try:
                print(json.dumps({"do": do, "with": arguments}), file=orders, flush=True)
                line = answers.readline()
            except BrokenPipeError:
                line = ""
            if not line:
                said.seek(0)
                raise RuntimeError(f"{' '.join(command)} ended at {do!r}:\n{said.read()[-_STDERR_SHOWN:]}")
            return Answer(**json.loads(line))

        try:
            yield ask
        finally:
            try:
                orders.close()
            except BrokenPipeError:
                process.kill()  # it has ended: nothing is left to be told
            process.wait()
            answers.close()


def in_turn(turns: int, *sides: Callable[[], float]) -> list[list[float]]:
    """What each side measured in each turn, A B A B ...; a first turn, in which caches fill, is not kept."""
    found: list[list[float]] = [[] for _ in sides]
    for turn in range(turns + 1):
        for side, values in zip(sides, found, strict=True):
            value = side()
            if turn:
                values.append(value)
    return found


def relative_difference(ours: Path, theirs: Path) -> float:
    """Of two vectors in files of numpy: length of the difference over the length of `theirs`."""
    mine, other = np.load(ours).astype(np.float64), np.load(theirs).astype(np.float64)
    return float(np.linalg.norm(mine - other) / np.linalg.norm(other))
