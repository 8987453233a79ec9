"""Proof at start that the box holds: bounded escape attempts, run inside it.

Belongs here: what is tried and how the answer is read. A backend with one open probe is refused.
"""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cpp_pipeline.sandbox.isolation import Box, Bubblewrap, Limits

EXPECTED = (
    *("loopback", "vsock", "shadow", "environment", "host_folder", "write_outside", "user_namespace"),
    *("mount", "ptrace", "io_uring", "raise_limits", "root", "fork_cap"),
)
_LIMITS = Limits(wall_seconds=15.0, cpu_seconds=3, output_bytes=1 << 16)
_LEFTOVER_SECONDS = 5.0


def open_probes(boxes: Bubblewrap, program: Path) -> list[str]:
    """Names of the probes that got out, or gave no answer; empty when the box holds.

    Raises
    ------
    IsolationError
        No box starts at all.
    """
    readonly = [(str(program), "/box/probe")]
    with _listener() as port, tempfile.NamedTemporaryFile(prefix="cpp-pipeline-probe-") as outside:
        outside.write(b"secret")
        outside.flush()
        Path(outside.name).chmod(0o644)
        result = boxes.run(Box(["/box/probe", str(port), outside.name], _LIMITS, readonly=readonly, proc=True))
    answers = dict(line.split(" ", 1) for line in result.stdout.decode("ascii", "replace").splitlines() if " " in line)
    found = [name for name in EXPECTED if answers.get(name) != "closed"]
    flood = boxes.run(Box(["/box/probe", "flood"], _LIMITS, readonly=readonly))
    if not flood.flooded or len(flood.stdout) > _LIMITS.output_bytes:
        found.append("output_cap")
    leave = boxes.run(Box(["/box/probe", "leave"], _LIMITS, readonly=readonly))
    if leave.timed_out or leave.wall_seconds > _LEFTOVER_SECONDS:
        found.append("leftover_process")
    return found


@contextmanager
def _listener() -> Iterator[int]:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield int(server.getsockname()[1])
