"""The two containers of a pod as processes of this machine: other uids, no capabilities, a shared folder."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

import cpp_pipeline
from cpp_pipeline.sandbox.compiling.pch import identity

REPOSITORY = Path(cpp_pipeline.__path__[0]).parent
FIRST_UID = 61200
"""Beyond those of the backend landlock; a pod of the tests takes two."""
_NEEDED = ("unshare", "setpriv", "mount")


def skip_without_root() -> None:
    """Two uids can be had by root only."""
    if os.geteuid() != 0:
        pytest.skip("judge and runner need two uids, which only root can give them")
    missing = [name for name in _NEEDED if shutil.which(name) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} of util-linux not installed")


@dataclass(frozen=True)
class Pod:
    """Both processes, and where the judge answers."""

    judge: subprocess.Popen[bytes]
    runner: subprocess.Popen[bytes]
    url: str
    folder: Path
    uids: tuple[int, int]


@contextlib.contextmanager
def pod(folder: Path, boxes: str, makes_headers: bool = True) -> Iterator[Pod]:
    """A pod that is ready, until the block ends; `folder` must be reachable for every user.

    One that does not make its precompiled headers finds those of root's judges, as in an image; they take it a minute.
    """
    skip_without_root()
    with contextlib.ExitStack() as stack:
        uids = free_uid(), free_uid() + 1
        places = {name: folder / name for name in ("shared", "judge", "runner")}
        for (name, place), owner in zip(places.items(), (-1, *uids), strict=True):
            place.mkdir()
            place.chmod(0o777 if name == "shared" else 0o700)
            os.chown(place, owner, owner)
        if not makes_headers:
            _give_headers(places["judge"] / "private", uids[0], boxes)
        common = ["--socket", str(places["shared"] / "runner.sock"), "--folder"]
        running = ["runner", *common, str(places["runner"]), "--boxes", boxes]
        runner = stack.enter_context(started(uids[1], running, {"SECRET": "token"}))
        judging = ["judge", *common, str(places["judge"]), "--host", "127.0.0.1", "--port", "0"]
        judge = stack.enter_context(started(uids[0], [*judging, "--drain-seconds", "0"]))
        assert judge.stdout is not None
        line = judge.stdout.readline().decode()  # it comes when the judge is proven
        assert line.startswith("listening "), line
        yield Pod(judge, runner, line.split()[1], folder, uids)


def _give_headers(private: Path, uid: int, boxes: str) -> None:
    name = f"{identity()[:16]}-{{}}"
    made = Path(tempfile.gettempdir()) / f"cpp-pipeline-pch-0-{name.format('bubblewrap')}"
    given = private / f"cpp-pipeline-pch-{uid}-{name.format(f'pod-{boxes}')}"
    private.mkdir()
    for kind in ("O0", "O0-wide", "O1-objects", "O1-instances"):
        if (made / f"gpp-cpp20-{kind}" / "complete").exists():
            shutil.copytree(made / f"gpp-cpp20-{kind}", given / f"gpp-cpp20-{kind}")
    for path in (private, *private.rglob("*")):
        os.chown(path, uid, uid)
    private.chmod(0o700)


def free_uid() -> int:
    """A uid that has no process, and whose successor has none."""
    taken = {os.stat(f"/proc/{pid}").st_uid for pid in os.listdir("/proc") if pid.isdigit() and _there(pid)}
    start = FIRST_UID + os.getpid() % 1000 * 2
    return next(uid for uid in range(start, start + 4000, 2) if not {uid, uid + 1} & taken)


def _there(pid: str) -> bool:
    return Path("/proc", pid).exists()


@contextlib.contextmanager
def started(
    uid: int, words: Sequence[str], environment: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A command of `cpp_pipeline.sandbox.pod` as a container would start it; ended with the block."""
    drop = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "--no-new-privs", "--bounding-set=-all"]
    command = [*drop, sys.executable, "-m", "cpp_pipeline.sandbox.pod", *words]
    process = subprocess.Popen(
        ["unshare", "--mount", "sh", "-c", f"{_make_reachable()} cd / && exec {shlex.join(command)}"],
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "PYTHONPATH": str(REPOSITORY), **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        assert process.stdout is not None
        process.stdout.close()


def _make_reachable() -> str:
    """Commands that open the way to Python and to this repository, where they lie in a home that is closed to others.

    They hold in the mount namespace of the process only.
    """
    paths = {Path(sys.base_prefix).resolve(), Path(sys.prefix).resolve(), REPOSITORY.resolve()}
    words = []
    for top in {Path(*path.parts[:2]) for path in paths}:
        if top.stat().st_mode & 0o001:
            continue
        inside = [path for path in paths if top in path.parents]
        places = " ".join(f"/mnt/{i}" for i, _ in enumerate(inside))
        words += [f"mkdir -p /mnt && mount -t tmpfs tmpfs /mnt && mkdir {places}"]
        words += [f"mount --bind {path} /mnt/{i}" for i, path in enumerate(inside)]
        words += [f"mount -t tmpfs -o mode=755 tmpfs {top}"]
        words += [f"mkdir -p {path} && mount --bind /mnt/{i} {path}" for i, path in enumerate(inside)]
    return "".join(f"{word} && " for word in words)
