"""The two containers in one gVisor sandbox, as a node of a cluster runs them; Debian 12's runsc is a build of 2022.

That build lets no user mount anything, so bubblewrap cannot run in it and the runner falls back to boxes without a root
of their own. What the pod does under a current gVisor, this cannot show.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from cpp_pipeline_tests.sandbox.pod.containers import REPOSITORY, skip_without_root
from cpp_pipeline_tests.sandbox.pod.test_pod import SEEN_IN_A_CONTAINER

UIDS = {"pause": 1000, "runner": 1000, "judge": 1001}
SLOW = {"endless_recursion", "too_much_memory_by_and_by"}
"""Programs that touch page after page: under the ptrace platform their time is over before their memory is."""
_START_SECONDS = 400.0
_MODULE = [sys.executable, "-m", "cpp_pipeline.sandbox.pod"]
_COMMANDS = {
    "pause": ["/bin/sleep", "3600"],
    "runner": [*_MODULE, "runner"],
    "judge": [*_MODULE, "judge", "--host", "127.0.0.1"],
}
_CANARIES = """
import json
from cpp_pipeline.sandbox.canaries import run_canaries
from cpp_pipeline.sandbox.client import SandboxClient
with SandboxClient("http://127.0.0.1:8080") as client:
    print(json.dumps([client.capabilities()["isolation"], run_canaries(client, modes=["rpc"])]))
"""


class GvisorPod:
    """Three containers of one sandbox: the one that holds it, the runner, the judge."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        flags = subprocess.run(["runsc", "flags"], capture_output=True, text=True, check=False)
        platform = "systrap" if "systrap" in flags.stdout + flags.stderr else "ptrace"
        self._runsc = ["runsc", "--platform", platform, "--network", "none", "--ignore-cgroups"]
        self._runsc += ["--root", str(folder / "state")]
        self._seen = [Path(sys.base_prefix).resolve(), Path(sys.prefix), REPOSITORY.resolve()]
        self._root = folder / "root"
        for name in ("usr", "proc", "dev", "tmp", "var/tmp", "etc", "work", "run/cpp-pipeline"):
            (self._root / name).mkdir(parents=True)
        for name in ("bin", "sbin", "lib", "lib64"):
            if Path("/", name).is_symlink():
                (self._root / name).symlink_to(os.readlink(f"/{name}"))
        for path in self._seen:
            (self._root / path.relative_to("/")).mkdir(parents=True, exist_ok=True)
        (self._root / "etc/passwd").write_text("root:x:0:0::/:/bin/sh\n")

    def start(self, name: str) -> None:
        """Create and start a container; its output goes to a file."""
        bundle = self.folder / name
        bundle.mkdir()
        (bundle / "config.json").write_text(json.dumps(self._config(name)))
        with (self.folder / f"{name}.log").open("wb") as log:
            for words in (["create", "--bundle", str(bundle), name], ["start", name]):
                order = [*self._runsc, *words]
                subprocess.run(order, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=True)

    def log(self, name: str) -> str:
        """What a container has printed."""
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def execute(self, command: Sequence[str]) -> str:
        """Run a command of ours in the judge's container."""
        identity = ["--user", f"{UIDS['judge']}:{UIDS['judge']}", "--cwd", "/"]
        environment = [word for entry in self._environment() for word in ("--env", entry)]
        order = [*self._runsc, "exec", *identity, *environment, "judge", *command]
        return subprocess.run(order, capture_output=True, text=True, check=True).stdout

    def stop(self) -> None:
        """End all containers."""
        for name in reversed(UIDS):
            for words in (["kill", name, "KILL"], ["delete", "--force", name]):
                subprocess.run([*self._runsc, *words], capture_output=True, check=False)

    def _environment(self) -> list[str]:
        return ["PATH=/usr/bin:/bin", f"PYTHONPATH={REPOSITORY.resolve()}"]

    def _config(self, name: str) -> dict[str, object]:
        shared = "/pods/socket"  # names the volume; it is in the memory of the sandbox
        hint = {"source": shared, "type": "tmpfs", "share": "pod", "options": "rw"}
        notes = {f"dev.gvisor.spec.mount.socket.{key}": value for key, value in hint.items()}
        notes["io.kubernetes.cri.container-type"] = "sandbox" if name == "pause" else "container"
        notes |= {"io.kubernetes.cri.sandbox-id": "pause", "io.kubernetes.cri.container-name": name}
        mounts = [_mount(str(path), "bind", str(path), "rbind", "ro") for path in (Path("/usr"), *self._seen)]
        mounts += [_mount(path, "tmpfs", "tmpfs", "mode=1777") for path in ("/tmp", "/var/tmp", "/work")]
        mounts += [_mount("/proc", "proc", "proc"), _mount("/run/cpp-pipeline", "tmpfs", shared, "rw")]
        uid = UIDS[name]
        return {
            "ociVersion": "1.0.2",
            "hostname": "pod",
            "root": {"path": str(self._root), "readonly": True},
            "annotations": notes,
            "process": {
                "user": {"uid": uid, "gid": uid},
                "args": _COMMANDS[name],
                "env": self._environment(),
                "cwd": "/",
                "capabilities": {},
                "noNewPrivileges": True,
            },
            "mounts": mounts,
            "linux": {"namespaces": [{"type": kind} for kind in ("pid", "network", "ipc", "uts", "mount")]},
        }


def _mount(destination: str, kind: str, source: str, *options: str) -> dict[str, object]:
    return {"destination": destination, "type": kind, "source": source, "options": list(options)}


@pytest.fixture
def gvisor() -> Iterator[GvisorPod]:
    skip_without_root()
    if shutil.which("runsc") is None:
        pytest.skip("runsc is not installed (apt-get install runsc)")
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        found = GvisorPod(Path(name))
        try:
            yield found
        finally:
            found.stop()


@pytest.mark.slow
def test_the_pod_proves_itself_and_judges_under_gvisor(gvisor: GvisorPod) -> None:
    for name in UIDS:
        gvisor.start(name)
    deadline = time.monotonic() + _START_SECONDS
    while "listening http" not in gvisor.log("judge"):  # printed when all probes are closed
        said = [*gvisor.log("judge").splitlines(), *gvisor.log("runner").splitlines()]
        assert not [line for line in said if line.startswith(("judge: ", "runner: "))]
        assert time.monotonic() < deadline
        time.sleep(1)
    isolation, rows = json.loads(gvisor.execute([sys.executable, "-c", _CANARIES]))
    assert (isolation["backend"], isolation["level"]) in (("pod-nested", "kernel"), ("pod-bubblewrap", "kernel"))
    bad = {row["canary_id"].split("/")[-1]: row["verdict"] for row in rows if not row["ok"]}
    late = {name for name in SLOW if bad.get(name) == "TLE"}
    assert len(rows) > 100
    assert bad.keys() - late == (SEEN_IN_A_CONTAINER if isolation["backend"] == "pod-nested" else set())
