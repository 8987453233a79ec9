"""Proof at start that the box holds: bounded escape attempts, run inside it.

Belongs here: what is tried and how the answer is read. A backend with one open probe is refused, and a probe that gives
no answer is open. The memory of the whole group is asked only where the backend has control groups.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import tempfile
import threading
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from cpp_pipeline.sandbox.isolation.box import Backend, Box, BoxResult, Limits
from cpp_pipeline.sandbox.isolation.launcher import NOBODY

ANSWERS = (
    *("loopback", "inet", "vsock", "host_socket", "shadow", "environment", "host_file", "write_outside"),
    *("write_shared", "processes", "user_namespace", "mount", "io_uring", "kernel_interfaces", "raise_limits", "root"),
    "ptrace",
)
_LIMITS = Limits(wall_seconds=15.0, cpu_seconds=3, output_bytes=1 << 16, workspace_bytes=4 << 20)
_LEFTOVER_SECONDS = 5.0
_MEMORY, _EATERS = 96 << 20, 5  # processes of 64 MiB: more than the limit also with room for gVisor, but not each alone
_FORKS = 1000
_ANSWER = re.compile(rb"^(\w+) (closed|open)$", re.MULTILINE)


def open_probes(boxes: Backend, program: Path, unclaimed: Collection[str] = (), private: bool = False) -> list[str]:
    """Names of the probes that got out, or gave no answer; empty when the box holds.

    Parameters
    ----------
    boxes : Backend
        The backend to try.
    program : Path
        `native/probe.c`, compiled, readable for the boxes' uid.
    unclaimed : Collection[str]
        Names of probes that the backend does not promise to close.
    private : bool
        What boxes must not read lies where only our own uid can; otherwise where every user of the machine can.

    Raises
    ------
    IsolationError
        A box does not start.
    """

    def ask(*argv: str, limits: Limits = _LIMITS, stdin: bytes = b"", proc: bool = False) -> BoxResult:
        readonly = [(str(program), "/box/probe")]
        return boxes.run(Box(["/box/probe", *argv], limits, stdin, readonly, proc=proc))

    with _outside(private) as (told, victim):
        told_by = answers(ask(stdin=told, proc=True))
        found = [name for name in ANSWERS if told_by.get(name) != "closed"]
        if victim.poll() is not None:
            found.append("signal_outside")
    flood = ask("flood")
    if not flood.flooded or len(flood.stdout) > _LIMITS.output_bytes:
        found.append("output_cap")
    leave = ask("leave")
    if leave.timed_out or leave.wall_seconds > _LEFTOVER_SECONDS:
        found.append("leftover_process")
    fill = ask("fill", "16")
    if not fill.flooded and answers(fill).get("fill_disk") != "closed":
        found.append("fill_disk")
    if _too_many(ask("forks", str(_FORKS)), boxes):
        found.append("fork_cap")
    if boxes.cgroup and not ask("memory", str(_EATERS), limits=replace(_LIMITS, memory_bytes=_MEMORY)).out_of_memory:
        found.append("group_memory")
    others = "scratch_of_others"
    if others not in unclaimed and answers(_read_other(boxes, program)).get(others) != "closed":
        found.append(others)
    return [name for name in found if name not in unclaimed]


def answers(result: BoxResult) -> Mapping[str, str]:
    """What `native/probe.c` says: "open" or "closed" by name."""
    return {name.decode(): answer.decode() for name, answer in _ANSWER.findall(result.stdout)}


def _too_many(result: BoxResult, boxes: Backend) -> bool:
    """A kernel of its own has no count of processes, and ends altogether at the bound that holds outside."""
    if boxes.level == "kernel" and result.exit_code != 0 and not result.timed_out:
        return False
    return not result.stdout.strip().isdigit() or int(result.stdout) > _LIMITS.processes


@contextlib.contextmanager
def _outside(private: bool) -> Iterator[tuple[bytes, subprocess.Popen[bytes]]]:
    """Things outside that a box must not reach, what the probe is told of them, and the process among them."""
    identity = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cpp-pipeline-probe-")))
        folder.chmod(0o700 if private else 0o755)
        (folder / "file").write_text("secret")
        port = stack.enter_context(socket.socket())
        port.bind(("127.0.0.1", 0))
        named, abstract = (stack.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(2))
        named.bind(f"{folder}/socket")
        abstract.bind(f"\0{folder}/socket")
        (folder / "socket").chmod(0o777)
        for listener in (port, named, abstract):
            listener.listen()
        victim = subprocess.Popen(["/bin/sleep", "600"], env={}, **identity)  # type: ignore[call-overload]
        try:
            yield f"{port.getsockname()[1]}\n{folder}/file\n{folder}/socket\n{victim.pid}\n".encode(), victim
        finally:
            victim.kill()
            victim.wait()


def _read_other(boxes: Backend, program: Path) -> BoxResult:
    """One box tries to read what another, that still runs, has written to its working folder."""
    readonly = [(str(program), "/box/probe")]
    hold_stdin, let_go = os.pipe()
    told, hold_stdout = os.pipe()

    def hold() -> None:
        try:
            boxes.run(Box(["/box/probe", "hold"], _LIMITS, hold_stdin, readonly, stdout=hold_stdout))
        finally:
            os.close(hold_stdout)

    holder = threading.Thread(target=hold)
    holder.start()
    try:
        path = os.read(told, 4096)
        return boxes.run(Box(["/box/probe", "read"], _LIMITS, path, readonly))
    finally:
        os.close(let_go)
        holder.join()
        os.close(told)
        os.close(hold_stdin)
