"""Nothing of a box outlives it: not after bombs, not after a stop, not after the service's death."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import cpp_pipeline
from cpp_pipeline.sandbox.isolation import Backend, Box, BoxResult, IsolationError, Limits
from cpp_pipeline.sandbox.isolation.choose import open_backend
from cpp_pipeline_tests.sandbox.isolation.conftest import open_or_skip

_REPOSITORY = Path(cpp_pipeline.__path__[0]).parent


def _processes(word: str) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().decode(errors="replace").replace("\0", " ")
        except OSError:
            continue
        if word in line:
            found.append(line)
    return found


def _children() -> str:
    return Path(f"/proc/self/task/{threading.get_native_id()}/children").read_text()


def _soon(holds: Callable[[], bool]) -> bool:
    for _ in range(200):
        if holds():
            return True
        time.sleep(0.05)
    return False


def _control_groups(pid: int) -> list[Path]:
    mounts = [
        Path(line.split()[4]) for line in Path("/proc/self/mountinfo").read_text().splitlines() if "cgroup" in line
    ]
    # `os.walk`, unlike `Path.rglob`, passes over groups of other services that go meanwhile.
    folders = [Path(parent, name) for mount in mounts for parent, names, _ in os.walk(mount) for name in names]
    return [path for path in folders if path.match(f"cpp-pipeline-*-{pid}-*") and path.is_dir()]


@pytest.fixture(params=["bubblewrap", pytest.param("landlock", marks=pytest.mark.slow), "gvisor"])
def own(request: pytest.FixtureRequest, folder: Path) -> Iterator[Backend]:
    backend = open_or_skip(request.param, folder)
    yield backend
    backend.close()


def test_nothing_is_left_after_bombs(own: Backend, folder: Path, program: Path) -> None:
    name = f"/box/{folder.name}"  # to look for in the list of processes

    def run(*words: object, **limits: Any) -> BoxResult:
        argv = [name, *map(str, words)]
        return own.run(Box(argv, Limits(**limits), readonly=[(str(folder / "guest"), name)]))

    (folder / "guest").write_bytes(program.read_bytes())
    (folder / "guest").chmod(0o755)
    before = _control_groups(os.getpid())
    children = _children()
    run("exit", 0)
    files = set(folder.rglob("*"))
    descriptors = len(os.listdir("/proc/self/fd"))
    groups = _control_groups(os.getpid())
    for _ in range(2):
        run("bomb", wall_seconds=4.0 if own.level == "kernel" else 0.5)
        run("orphan")
        run("deep", 3000)
        run("mute", wall_seconds=2.0 if own.level == "kernel" else 0.5)
        run("err", output_bytes=1000)
        run("file", 10, file_bytes=1 << 20)
        run("use", 600)
    assert _processes(folder.name) == []
    assert _children() == children
    assert set(folder.rglob("*")) == files
    assert len(os.listdir("/proc/self/fd")) == descriptors
    assert _control_groups(os.getpid()) == groups
    own.close()
    assert set(_control_groups(os.getpid())) <= set(before)


def test_close_ends_what_runs_and_starts_nothing_more(own: Backend) -> None:
    marker = f"54{os.getpid()}"
    caught: list[BaseException] = []

    def run() -> None:
        try:
            own.run(Box(["/bin/sh", "-c", f"(setsid sleep {marker} &) ; sleep {marker}"], Limits(wall_seconds=60)))
        except IsolationError as error:
            caught.append(error)

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    assert _soon(
        lambda: any(line.startswith(f"sleep {marker}") for line in _processes(marker)) or own.level == "kernel"
    )
    own.close()
    assert _processes(marker) == []
    for thread in threads:
        thread.join()
    assert [str(error) for error in caught] == ["the sandbox is shutting down"] * 3
    with pytest.raises(IsolationError, match="shutting down"):
        own.run(Box(["/bin/true"]))


@pytest.mark.parametrize("name", ["bubblewrap", "landlock"])
def test_boxes_die_with_a_killed_service_and_the_next_one_sweeps_its_groups(name: str, folder: Path) -> None:
    open_or_skip(name, folder).close()
    marker = f"53{os.getpid()}"
    code = (
        "import sys\nfrom pathlib import Path\nfrom cpp_pipeline.sandbox.isolation import Box, Limits\n"
        "from cpp_pipeline.sandbox.isolation.choose import open_backend\n"
        f"boxes = open_backend({name!r}, Path({str(folder)!r}))\nprint(boxes.cgroup, flush=True)\n"
        f"boxes.run(Box(['/bin/sh', '-c', '(setsid sleep {marker} &); sleep {marker}'], Limits(wall_seconds=60)))\n"
    )
    service = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=_REPOSITORY)
    assert service.stdout is not None
    cgroup = service.stdout.readline().decode().strip()
    assert _soon(lambda: len([x for x in _processes(f"sleep {marker}") if x.startswith("sleep")]) == 2)
    service.send_signal(signal.SIGKILL)
    service.wait()
    service.stdout.close()
    assert _soon(lambda: _processes(marker) == [])
    assert bool(_control_groups(service.pid)) == bool(cgroup)
    with tempfile.TemporaryDirectory() as other:
        Path(other).chmod(0o755)
        open_backend(name, Path(other)).close()
    assert _control_groups(service.pid) == []


def test_service_without_privileges(folder: Path) -> None:
    """As `nobody`: bubblewrap holds all the same, what needs root says so, `none` only with both consents."""
    python = next((p for p in (sys.executable, "/usr/bin/python3") if _runs_as_nobody(p)), None)
    if python is None or os.geteuid() != 0:
        pytest.skip("needs root, and a Python that nobody can run")
    room = folder / "cpp_pipeline"
    for part in ("__init__.py", "sandbox/__init__.py", "sandbox/kept.py", "sandbox/isolation", "sandbox/native"):
        source = _REPOSITORY / "cpp_pipeline" / part
        for path in [source] if source.is_file() else [p for p in source.rglob("*") if p.is_file()]:
            target = room / path.relative_to(_REPOSITORY / "cpp_pipeline")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    code = (
        "import json, sys, tempfile\nfrom pathlib import Path\nfrom cpp_pipeline.sandbox.isolation import *\n"
        "from cpp_pipeline.sandbox.isolation.choose import open_backend\n"
        "unsafe = dict(allow_unsafe=True, environment_allows_unsafe=True)\n"
        "for name, more in (('auto', {}), ('landlock', {}), ('gvisor', {}), ('none', {}), ('none', unsafe),\n"
        "                   ('auto', {'bwrap': '/nonexistent'})):\n"
        "    with tempfile.TemporaryDirectory() as folder:\n"
        "        Path(folder).chmod(0o755)\n"
        "        try:\n"
        "            boxes = open_backend(name, Path(folder), **more)\n"
        "        except IsolationError as error:\n"
        "            print(json.dumps([name, str(error)]))\n"
        "            continue\n"
        "        result = boxes.run(Box(['/bin/sh', '-c', 'id -u; echo x > /tmp/y; cat /tmp/y']))\n"
        "        print(json.dumps([name, boxes.name, boxes.level, result.stdout.decode()]))\n"
        "        boxes.close()\n"
    )
    done = subprocess.run(
        [python, "-c", code],
        user=65534,
        group=65534,
        extra_groups=[],
        env={"PATH": "/usr/bin:/bin"},
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert lines[0] == ["auto", "bubblewrap", "namespaces", "65534\nx\n"]
    assert "needs root" in lines[1][1]
    assert "needs root" in lines[2][1] or "apt-get install runsc" in lines[2][1]
    assert "CPP_PIPELINE_ALLOW_UNSAFE=1" in lines[3][1]
    assert lines[4] == ["none", "none", "none", "65534\nx\n"]
    assert "NO isolation" in done.stderr
    assert "/nonexistent is not installed" in lines[5][1]
    assert "landlock: landlock needs root" in lines[5][1]


def _runs_as_nobody(python: str) -> bool:
    try:
        order = [python, "-c", "import sys; assert sys.version_info >= (3, 11)"]
        return subprocess.run(order, user=65534, cwd="/", check=False, capture_output=True).returncode == 0
    except OSError:
        return False


def test_backend_that_nobody_closed_leaves_no_groups(folder: Path) -> None:
    code = (
        "from pathlib import Path\nfrom cpp_pipeline.sandbox.isolation import Box\n"
        "from cpp_pipeline.sandbox.isolation.bubblewrap import Bubblewrap\n"
        f"boxes = Bubblewrap(Path({str(folder)!r}))\nprint(boxes.run(Box(['/bin/echo', 'done'])).stdout.decode())\n"
    )
    service = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=_REPOSITORY)
    assert service.communicate()[0].startswith(b"done")
    assert _control_groups(service.pid) == []
