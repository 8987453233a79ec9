"""The containers of a pod in one gVisor sandbox, as on a node of a cluster, with this machine's files or an image's.

Debian 12's runsc is a build of 2022, which lets no user mount anything: bubblewrap cannot run in it, and the runner
falls back to boxes without a root of their own. What a pod does under a current gVisor, this cannot show.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from cpp_pipeline_tests.sandbox.pod.containers import REPOSITORY, skip_without_root
from cpp_pipeline_tests.sandbox.pod.test_pod import SEEN_IN_A_CONTAINER

SLOW = {"endless_recursion", "stdio_memory", "too_much_memory_by_and_by"}
"""Programs that touch page after page: under the ptrace platform their time is over before their memory is."""
_START_SECONDS = 400.0
_SOCKET = "/run/cpp-pipeline"
_CANARIES = """
import json, sys
from cpp_pipeline.sandbox.canaries import run_canaries
from cpp_pipeline.sandbox.client import SandboxClient
with SandboxClient("http://127.0.0.1:8080") as client:
    rows = run_canaries(client, modes=sys.argv[1:])
    wrong = {row["canary_id"].split("/")[-1]: row["verdict"] for row in rows if not row["ok"]}
    print(json.dumps([client.capabilities()["isolation"], len(rows), wrong]))
"""


@dataclass(frozen=True)
class Container:
    """A command, who runs it, and what it may write to."""

    uid: int
    command: Sequence[str]
    writable: Sequence[str] = ("/tmp", "/var/tmp", "/work")


@dataclass(frozen=True)
class Root:
    """What the containers' files are: a folder, and folders of this machine that are seen in it."""

    path: Path
    python: str = sys.executable
    environment: Sequence[str] = ("PATH=/usr/bin:/bin", f"PYTHONPATH={REPOSITORY.resolve()}")
    cwd: str = "/"
    seen: Sequence[Path] = field(default=())


def root_of_this_machine(path: Path) -> Root:
    """A root in a new folder, with this machine's compilers, Python and project."""
    seen = [Path(sys.base_prefix).resolve(), Path(sys.prefix), REPOSITORY.resolve()]
    for name in ("usr", "proc", "dev", "tmp", "var/tmp", "etc", "work", "run/cpp-pipeline"):
        (path / name).mkdir(parents=True)
    for name in ("bin", "sbin", "lib", "lib64"):
        if Path("/", name).is_symlink():
            (path / name).symlink_to(os.readlink(f"/{name}"))
    for place in seen:
        (path / place.relative_to("/")).mkdir(parents=True, exist_ok=True)
    (path / "etc/passwd").write_text("root:x:0:0::/:/bin/sh\n")
    return Root(path, seen=[Path("/usr"), *seen])


class GvisorPod:
    """The containers of one sandbox; before them, one that holds it."""

    def __init__(self, folder: Path, root: Root, containers: Mapping[str, Container]) -> None:
        self._folder, self._root = folder, root
        self._containers = {"pause": Container(1000, ["/bin/sleep", "3600"]), **containers}
        flags = subprocess.run(["runsc", "flags"], capture_output=True, text=True, check=False)
        platform = "systrap" if "systrap" in flags.stdout + flags.stderr else "ptrace"
        self._runsc = ["runsc", "--platform", platform, "--network", "none", "--ignore-cgroups"]
        self._runsc += ["--root", str(folder / "state")]

    def start(self) -> None:
        """Start all containers and wait until the judge is ready; what they print goes to files."""
        for name in self._containers:
            bundle = self._folder / name
            bundle.mkdir()
            (bundle / "config.json").write_text(json.dumps(self._config(name)))
            with (self._folder / f"{name}.log").open("wb") as log:
                for words in (["create", "--bundle", str(bundle), self._id(name)], ["start", self._id(name)]):
                    order = [*self._runsc, *words]
                    done = subprocess.run(order, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False)
                    assert done.returncode == 0, self._log(name)
        deadline = time.monotonic() + _START_SECONDS
        while "listening http" not in self._log("judge"):  # printed when all probes are closed
            said = [*self._log("judge").splitlines(), *self._log("runner").splitlines()]
            assert not [line for line in said if line.startswith(("judge: ", "runner: "))]
            assert time.monotonic() < deadline
            time.sleep(0.2)

    def _id(self, name: str) -> str:
        """Of a container; sandboxes of one name meet on the machine, whatever folder runsc is given."""
        return f"{self._folder.name}-{name}"

    def _log(self, name: str) -> str:
        return (self._folder / f"{name}.log").read_text(errors="replace")

    def execute(self, *command: str) -> str:
        """Run a command of ours in the judge's container."""
        uid = self._containers["judge"].uid
        environment = [word for entry in self._root.environment for word in ("--env", entry)]
        order = [*self._runsc, "exec", "--user", f"{uid}:{uid}", "--cwd", "/", *environment]
        order += [self._id("judge"), *command]
        return subprocess.run(order, capture_output=True, text=True, check=True).stdout

    def python(self, code: str, *words: str) -> str:
        """Run Python code of ours in the judge's container."""
        return self.execute(self._root.python, "-c", code, *words)

    def stop(self) -> None:
        """End all containers."""
        for name in reversed(self._containers):
            for words in (["kill", self._id(name), "KILL"], ["delete", "--force", self._id(name)]):
                subprocess.run([*self._runsc, *words], capture_output=True, check=False)

    def _config(self, name: str) -> dict[str, Any]:
        container = self._containers[name]
        shared = "/pods/socket"  # names the volume; it is in the memory of the sandbox
        hint = {"source": shared, "type": "tmpfs", "share": "pod", "options": "rw"}
        notes = {f"dev.gvisor.spec.mount.socket.{key}": value for key, value in hint.items()}
        notes["io.kubernetes.cri.container-type"] = "sandbox" if name == "pause" else "container"
        notes |= {"io.kubernetes.cri.sandbox-id": self._id("pause"), "io.kubernetes.cri.container-name": name}
        mounts = [_mount(str(path), "bind", str(path), "rbind", "ro") for path in self._root.seen]
        mounts += [_mount(path, "tmpfs", "tmpfs", "mode=1777") for path in container.writable]
        mounts += [_mount("/proc", "proc", "proc"), _mount(_SOCKET, "tmpfs", shared, "rw")]
        return {
            "ociVersion": "1.0.2",
            "hostname": "pod",
            "root": {"path": str(self._root.path), "readonly": True},
            "annotations": notes,
            "process": {
                "user": {"uid": container.uid, "gid": container.uid},
                "args": list(container.command),
                "env": list(self._root.environment),
                "cwd": self._root.cwd,
                "capabilities": {},
                "noNewPrivileges": True,
            },
            "mounts": mounts,
            "linux": {"namespaces": [{"type": kind} for kind in ("pid", "network", "ipc", "uts", "mount")]},
        }


def _mount(destination: str, kind: str, source: str, *options: str) -> dict[str, Any]:
    return {"destination": destination, "type": kind, "source": source, "options": list(options)}


@contextmanager
def gvisor_pod(root: Root, containers: Mapping[str, Container]) -> Iterator[GvisorPod]:
    """A pod that is ready, until the block ends."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        found = GvisorPod(Path(name), root, containers)
        try:
            found.start()
            yield found
        finally:
            found.stop()


def skip_without_gvisor() -> None:
    """A pod of gVisor needs root and runsc."""
    skip_without_root()
    if shutil.which("runsc") is None:
        pytest.skip("runsc is not installed (apt-get install runsc)")


def judged_wrongly(pod: GvisorPod, *modes: str) -> Collection[str]:
    """Names of the canaries of some modes that this pod judges otherwise than all others do."""
    isolation, count, wrong = json.loads(pod.python(_CANARIES, *modes))
    assert (isolation["backend"], isolation["level"]) in (("pod-nested", "kernel"), ("pod-bubblewrap", "kernel"))
    assert count > 100
    print(f"{count} canaries of {', '.join(modes)}: {wrong}")
    late = {name for name in SLOW if wrong.get(name) == "TLE"}
    known = SEEN_IN_A_CONTAINER if isolation["backend"] == "pod-nested" else set()
    return (wrong.keys() - late) ^ known
