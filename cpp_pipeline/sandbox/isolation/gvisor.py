"""One command under gVisor's own kernel: `runsc run` with a bundle of its own for each box.

Belongs here: the bundle and how runsc is called. The box gets a read-only root of a few folders, an unprivileged uid
without capabilities, no network, and inside of it the same system call filter and limits as elsewhere.
gVisor enforces no number of processes: that is bounded from outside, by the control group where there is one, with room
for gVisor itself. Debian 12's package is a build of 2022 that knows only the ptrace platform: it ends a program that
computes without a system call only at the deadline, and its speed says nothing about today's gVisor.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cpp_pipeline.sandbox.isolation.box import Box, BoxResult, IsolationError, Level
from cpp_pipeline.sandbox.isolation.hostpaths import scratch
from cpp_pipeline.sandbox.isolation.launcher import ENVIRONMENT, NOBODY, ROOT_LINKS, resources
from cpp_pipeline.sandbox.isolation.process import Order, Processes
from cpp_pipeline.sandbox.isolation.seccomp import write_filter

# gVisor's kernel and its file server, and several threads of the host for each of the guest
_MEMORY, _THREADS, _THREADS_EACH = 128 << 20, 256, 8


class Gvisor:
    """Runs boxes with `runsc`.

    Parameters
    ----------
    folder : Path
        Folder for bundles, filter and launcher; must be readable by `nobody`.
    runsc : str
        Program name or path.

    Raises
    ------
    IsolationError
        runsc or a C compiler is missing, this user is not root, or this machine has no filter table.
    """

    name = "gvisor"
    level: Level = "kernel"

    def __init__(self, folder: Path, runsc: str = "runsc") -> None:
        found = shutil.which(runsc)
        if found is None:
            raise IsolationError(f"{runsc} is not installed; see gvisor.dev/docs, or on Debian: apt-get install runsc")
        if os.geteuid() != 0:
            raise IsolationError("gvisor needs root, to serve files to a box under another uid; use bubblewrap")
        known = subprocess.run([found, "flags"], capture_output=True, text=True, check=False)
        platform = "systrap" if "systrap" in known.stdout + known.stderr else "ptrace"
        self.uid = NOBODY
        self.filter = write_filter(folder)
        self._processes = Processes(folder)
        self.cgroup = self._processes.groups.version
        self._numbers = itertools.count()
        self._bundles = folder / "bundles"
        self._bundles.mkdir(mode=0o700, exist_ok=True)
        self._root = folder / "root"
        self._mounts = _make_root(self._root)
        self._start = ["--", found, "--platform", platform, "--network", "none", "--ignore-cgroups"]

    def close(self) -> None:
        """End every running box and start no more."""
        self._processes.close()

    def run(self, box: Box) -> BoxResult:
        """Run one box to its end, its deadline or its output cap.

        Raises
        ------
        IsolationError
            The box did not start, or the sandbox was closed while it ran: what it left says nothing then.
        """
        with self._bundle(box) as bundle:
            words = [*self._start, "--root", str(bundle / "state"), "run", "--bundle", str(bundle)]
            words += [f"box-{os.getpid()}-{next(self._numbers)}"]
            overhead = _MEMORY, _THREADS + _THREADS_EACH * box.limits.processes
            result = self._processes.run(box, lambda _: Order(words, environment=ENVIRONMENT, overhead=overhead), b"")
            if not (bundle / "started").stat().st_size:
                tail = result.stderr[-400:].decode("utf-8", "replace").strip()
                raise IsolationError(f"gvisor did not start a box (exit {result.exit_code}): {tail}")
        return result

    @contextlib.contextmanager
    def _bundle(self, box: Box) -> Iterator[Path]:
        with scratch(self._bundles, os.geteuid()) as folder:
            (folder / "started").touch()
            (folder / "started").chmod(0o666)
            (folder / "config.json").write_text(json.dumps(self._config(box, folder)))
            yield folder

    def _config(self, box: Box, folder: Path) -> dict[str, Any]:
        """The bundle's configuration, as the OCI runtime specification names things."""
        tmp = [f"size={box.limits.workspace_bytes}", "mode=1777"]
        mounts = [
            *self._mounts,
            {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": tmp},
            _bind(self._processes.jail, "/jail", "ro"),
            _bind(self.filter, "/jail.bpf", "ro"),
            _bind(folder / "started", "/jail.started", "rw"),
            *(_bind(outside, inside, "ro") for outside, inside in box.readonly),
            *(_bind(outside, inside, "rw") for outside, inside in box.writable),
        ]
        limits = resources(box.limits).items()
        return {
            "ociVersion": "1.0.2",
            "hostname": "box",
            "root": {"path": str(self._root), "readonly": True},
            "process": {
                "user": {"uid": NOBODY, "gid": NOBODY},
                "args": ["/jail", "-t", "/jail.started", "-f", "/jail.bpf", "--", *box.argv],
                "rlimits": [{"type": f"RLIMIT_{n.upper()}", "soft": soft, "hard": hard} for n, (soft, hard) in limits],
                "env": [f"{name}={value}" for name, value in {**ENVIRONMENT, **box.environment}.items()],
                "cwd": "/tmp",
                "capabilities": {},
                "noNewPrivileges": True,
            },
            "mounts": mounts,
            "linux": {"namespaces": [{"type": name} for name in ("pid", "network", "ipc", "uts", "mount")]},
        }


def _bind(outside: str | Path, inside: str, mode: str) -> dict[str, Any]:
    return {"destination": inside, "type": "bind", "source": str(outside), "options": ["rbind", mode]}


def _make_root(root: Path) -> list[dict[str, Any]]:
    """Folders and links of the root file system, and the mounts of what the host's is made of."""
    for name in ("usr", "dev", "proc", "sys", "tmp", "box", "out"):
        (root / name).mkdir(parents=True, exist_ok=True)
    mounts = [_bind("/usr", "/usr", "ro")]
    for name in ROOT_LINKS:
        path = Path("/", name)
        if path.is_symlink():
            with contextlib.suppress(FileExistsError):
                (root / name).symlink_to(os.readlink(path))
        elif path.is_dir():
            (root / name).mkdir(exist_ok=True)
            mounts.append(_bind(f"/{name}", f"/{name}", "ro"))
    return mounts
