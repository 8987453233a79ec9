"""One step of a subject in a process of its own: what it returned, its CPU time and its peak memory.

Belongs here: running and reading; `python -m benchmarks.common.steps module:function ARGUMENT...` is the process.
"""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Step:
    """`cpu_seconds` of all threads without the imports, `peak_mib` of the whole process (2**20 bytes)."""

    result: Any
    cpu_seconds: float
    peak_mib: float


def in_own_process(step: str, *arguments: str) -> Step:
    """Run `module:function` with text arguments; it returns what JSON can hold.

    Raises
    ------
    RuntimeError
        With the last lines that the process wrote, when it failed.
    """
    command = [sys.executable, "-m", __name__, step, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{step} failed:\n{done.stderr[-2000:]}")
    return Step(**json.loads(done.stdout.splitlines()[-1]))


def _peak_mib() -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("this kernel does not tell a process's peak memory")


def _run(step: str, *arguments: str) -> None:
    module, _, function = step.partition(":")
    run = getattr(importlib.import_module(module), function)
    before = time.process_time()
    result = run(*arguments)
    print(json.dumps({"result": result, "cpu_seconds": time.process_time() - before, "peak_mib": _peak_mib()}))


if __name__ == "__main__":
    _run(*sys.argv[1:])
