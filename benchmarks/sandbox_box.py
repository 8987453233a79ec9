"""What a box costs, and whether nothing of its cost is lost to the accounting."""

from __future__ import annotations

import os
import statistics
import subprocess
import tempfile
from pathlib import Path

from benchmarks.common.peer import children_seconds, empty_box_seconds
from benchmarks.common.rows import Options, Row
from cpp_pipeline.sandbox.isolation import Backend, Box
from cpp_pipeline.sandbox.isolation.choose import open_backend

_BAR_MS = 10.0
_BURN = r"""
#include <time.h>
#include <unistd.h>
/* the one that burns is two generations below, in a session of its own; the pipe tells when it has ended */
int main(void) {
    int ends[2];
    char byte;
    if (pipe(ends)) return 1;
    if (fork() == 0) {
        setsid();
        if (fork() == 0) {
            struct timespec used;
            do clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
            while (used.tv_sec < 1);
        }
        _exit(0);
    }
    close(ends[1]);
    int left = (int)read(ends[0], &byte, 1);
    usleep(200000); /* for the box's first process to see the end, too */
    return left;
}
"""


def run(options: Options) -> list[Row]:
    """The overhead of a box over a bare start of the same program, and one second burnt by an orphan."""
    with tempfile.TemporaryDirectory(prefix="cpp-pipeline-bench-") as folder:
        work = Path(folder)
        work.chmod(0o755)
        boxes = open_backend("auto", work)
        try:
            return [_overhead(boxes, options), _orphan(boxes, work)]
        finally:
            boxes.close()


def _overhead(boxes: Backend, options: Options) -> Row:
    turns = options.size(100, 10)
    bare, boxed = [], []
    for _ in range(turns):
        before = children_seconds()
        subprocess.run(["/bin/true"], check=True, env={})
        bare.append(children_seconds() - before)
        boxed += empty_box_seconds(boxes, 1)
    over = sorted(1000 * (box - alone) for box, alone in zip(boxed, bare, strict=True))
    middle, alone, inside = statistics.median(over), *(1000 * statistics.median(costs) for costs in (bare, boxed))
    return Row(
        "sandbox_box",
        f"CPU time of a box over a bare process ({boxes.name})",
        f"{middle:.1f} ms",
        spread=f"{over[turns // 10]:.1f} to {over[-1 - turns // 10]:.1f} ms (10th to 90th percentile of {turns})",
        bar=f"<= {_BAR_MS:g} ms",
        ok=middle <= _BAR_MS,
        notes=f"/bin/true takes {alone:.1f} ms bare and {inside:.1f} ms in a box",
    )


def _orphan(boxes: Backend, work: Path) -> Row:
    source = work / "burn.c"
    source.write_text(_BURN)
    subprocess.run(["cc", "-o", work / "burn", source], check=True)
    before = children_seconds()
    result = boxes.run(Box(["/box/burn"], readonly=[(os.fspath(work / "burn"), "/box/burn")]))
    counted = children_seconds() - before
    return Row(
        "sandbox_box",
        "CPU time counted for an orphan in a box that burns 1 s",
        f"{counted:.2f} s",
        bar="1 to 1.1 s",
        ok=result.exit_code == 0 and 1.0 <= counted <= 1.1,
        notes="checks the measuring; only what is ended together with its box is not counted, and no program of the "
        "speed comparison leaves anything running",
    )
