"""Seconds to load the definitions in a fresh process, against the process that imports Dagster and nothing else.

The import of Dagster is the limit that cannot be gone below; the two take turns, after one turn that is not kept. Then
which heavy libraries are in the process afterwards.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import benchmarks
from benchmarks.common.peer import children_seconds
from benchmarks.common.rows import Options, Row, ratio_row
from benchmarks.turns.client import in_turn

_NAME = "definitions_load"
_MOST_SECONDS = 3.0
_HEAVY = ("torch", "transformers", "kubernetes", "google.cloud", "matplotlib", "numba", "ibis", "duckdb")
_LOAD = "from cpp_pipeline.definitions import defs; defs()"
_LIMIT = "import dagster"
_LIST = f"; import sys, json; print(json.dumps([m for m in {_HEAVY!r} if m in sys.modules]))"


def run(options: Options) -> list[Row]:
    """CPU and wall seconds, and what is imported."""
    spent: dict[str, list[float]] = {code: [] for code in (_LOAD, _LIMIT)}

    def cpu(code: str) -> float:
        before = children_seconds(), time.perf_counter()
        _python(code)
        spent[code].append(time.perf_counter() - before[1])
        return children_seconds() - before[0]

    ours, limit = in_turn(options.turns(7), lambda: cpu(_LOAD), lambda: cpu(_LIMIT))
    walls = {code: seconds[1:] for code, seconds in spent.items()}
    against = f"import of dagster {version('dagster')}"
    row = ratio_row(_NAME, "load the definitions, wall", walls[_LOAD], walls[_LIMIT], "s", against=against)
    held = {
        "bar": f"<= {_MOST_SECONDS:g} s on an idle machine",
        "ok": None if options.quick else statistics.median(walls[_LOAD]) <= _MOST_SECONDS,
        "notes": f"load average {os.getloadavg()[0]:.2f}",
    }
    brought = json.loads(_python(_LOAD + _LIST))
    return [
        Row(**{**vars(row), **held}),
        ratio_row(_NAME, "load the definitions", ours, limit, "CPU s", against=against),
        Row(
            _NAME, "heavy libraries that the definitions import", ", ".join(brought) or "none", bar="none",
            ok=not brought, notes=f"looked for: {', '.join(_HEAVY)}",
        ),
    ]  # fmt: skip


def _python(code: str) -> str:
    command = [sys.executable, "-c", code]
    folder = Path(benchmarks.__path__[0]).parent
    # Bytecode is kept, as Python does where nobody forbids it: the turn that does not count compiles.
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder, env=env)
    if done.returncode:
        raise RuntimeError(f"{code!r} failed:\n{done.stderr[-2000:]}")
    return done.stdout
