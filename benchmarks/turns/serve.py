"""The loop of a worker: `python serve.py FILE` calls functions of the Python file FILE as stdin orders.

An order is a JSON line {"do": name, "with": {argument: value}}; the answer is one with `result`, `cpu` and `wall`
seconds of the call. What libraries print goes to stderr. Needs the standard library only.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import time


def main() -> None:
    """Serve until stdin ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    spec = importlib.util.spec_from_file_location("worker", sys.argv[1])
    assert spec is not None
    assert spec.loader is not None
    worker = importlib.util.module_from_spec(spec)
    sys.modules["worker"] = worker
    spec.loader.exec_module(worker)
    for line in sys.stdin:
        order = json.loads(line)
        wall, cpu = time.perf_counter(), time.process_time()
        result = getattr(worker, order["do"])(**order["with"])
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        print(json.dumps({"result": result, "cpu": cpu, "wall": wall}), file=answers, flush=True)


if __name__ == "__main__":
    main()
