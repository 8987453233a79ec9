"""Proof at start that the runner holds: the probes of every backend, and those of a pod.

Belongs here: what is tried, and what a pod does not promise. A pod with one open probe judges nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from cpp_pipeline.sandbox.isolation.box import Backend, Box, BoxResult, Limits
from cpp_pipeline.sandbox.isolation.probes import answers, open_probes

UNENFORCED: Mapping[str, Mapping[str, str]] = {
    "pod-bubblewrap": {"scratch_of_others": "there is one box at a time"},
    "pod-nested": {
        "shadow": "the image's own files can be read: there are no secrets among them",
        "write_shared": "what is written anywhere is removed before the next box",
        "processes": "command lines of the runner's own processes can be read: the judge's are in another container",
        "scratch_of_others": "there is one box at a time",
    },
}
"""Probes of other backends that a pod leaves open, by its boxes, and what stands in their place."""
_LITTER = "cpp-pipeline-probe-litter"
_LIMITS = Limits(wall_seconds=15.0, cpu_seconds=3, output_bytes=1 << 16)


def open_pod_probes(boxes: Backend, program: Path, runner: Path, unclaimed: Collection[str]) -> list[str]:
    """Names of the probes that got out, or gave no answer; empty when the pod holds.

    Parameters
    ----------
    program : Path
        `native/probe.c`, compiled.
    runner : Path
        The runner's socket.
    unclaimed : Collection[str]
        Names of probes that these boxes do not promise to close.

    Raises
    ------
    IsolationError
        A box does not start.
    """

    def ask(*argv: str, stdin: bytes = b"") -> BoxResult:
        return boxes.run(Box(["/box/probe", *argv], _LIMITS, stdin, [(str(program), "/box/probe")]))

    found = open_probes(boxes, program, unclaimed, private=True)
    others = answers(ask("others", stdin=f"{runner}\n".encode()))
    found += [name for name in ("memory_of_others", "runner_socket") if others.get(name) != "closed"]
    ask("litter", _LITTER)
    if answers(ask("litter", _LITTER)).get("leftover_file") != "closed":
        found.append("leftover_file")
    return found
