"""The sandbox image, built from its Dockerfile and run under gVisor.

There is no registry: the base is a Debian that mmdebstrap makes, named by the digest that it has here.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from cpp_pipeline_tests.k8s.rendering import PROJECT

pytestmark = pytest.mark.slow
ARCHIVE = "http://deb.debian.org/debian"
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
GVISOR = "#1 SMP Sun Jan 10 15:06:54 PST 2016"
"""What every gVisor says of its kernel."""
Run = Callable[..., "subprocess.CompletedProcess[str]"]

BOOST = """
#include <bits/stdc++.h>
#include <boost/any.hpp>
int main() { std::vector<boost::any> all{1, std::string("two")};
             std::cout << boost::any_cast<int>(all[0]) << boost::any_cast<std::string>(all[1]) << all.size(); }
"""
HEADERS = """set -e; cd /tmp; echo '#include <bits/stdc++.h>' > all.hpp; printf %s "$0" > main.cpp
g++ -std=c++20 -x c++-header all.hpp -o all.hpp.gch
g++ -std=c++20 -Winvalid-pch -H -include all.hpp -fuse-ld=mold main.cpp -o main 2> used
grep -q '^! .*all.hpp.gch' used; ./main"""
PROJECT_OF_CMAKE = """set -e; mkdir /tmp/p; cd /tmp/p; echo 'int main() { return 7; }' > m.cpp
printf 'cmake_minimum_required(VERSION 3.20)\\nproject(p CXX)\\nadd_executable(m m.cpp)\\n' > CMakeLists.txt
cmake -G Ninja -B b > log; cmake --build b >> log; ./b/m || echo "ended with $?" """
TIDY = """cd /tmp; echo 'int f(int* p) { if (p == 0) return *p; return 0; }' > t.cpp
clang-tidy --checks='-*,clang-analyzer-*' t.cpp --"""


def quietly(*words: object) -> str:
    """Run a command that has to succeed; returns what it prints."""
    done = subprocess.run([str(w) for w in words], capture_output=True, text=True, check=False, cwd=PROJECT)
    assert done.returncode == 0, f"{words}: {done.stderr[-3000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The image's files."""
    missing = [name for name in ("buildah", "mmdebstrap", "runsc") if shutil.which(name) is None]
    if missing or os.geteuid() != 0:
        pytest.skip(f"needs root and Debian's buildah, mmdebstrap and runsc; missing: {', '.join(missing) or 'root'}")
    folder = tmp_path_factory.mktemp("image")
    base = folder / "base.tar"
    quietly("mmdebstrap", "--variant=minbase", "bookworm", base, ARCHIVE)
    build = ["buildah", "--root", folder / "store", "--runroot", folder / "run", "--storage-driver", "vfs"]
    container = quietly(*build, "from", "scratch").strip()
    quietly(*build, "add", container, base, "/")
    base.unlink()
    quietly(*build, "commit", "--rm", container, "localhost/base")
    digest = quietly(*build, "images", "--digests", "--format", "{{.Digest}}").strip()
    (folder / "pip.conf").write_text("[global]\ncert = /etc/ssl/machine.crt\n")
    # the machine's certificates, where something between it and PyPI has one of its own
    volumes = [f"--volume={folder}/pip.conf:/etc/pip.conf:ro", f"--volume={CERTIFICATES}:/etc/ssl/machine.crt:ro"]
    arguments = {"BASE": f"localhost/base@{digest}", "DEBIAN": ARCHIVE, "SOURCE_DATE_EPOCH": "1790000000"}
    given = [f"--build-arg={name}={value}" for name, value in arguments.items()]
    options = ["--isolation=chroot", "--network=host", "--pull-never", *(volumes if CERTIFICATES.exists() else [])]
    quietly(*build, "bud", *options, *given, "-f", "k8s/images/cpp-pipeline-sandbox.Dockerfile", "-t", "sandbox", ".")
    container = quietly(*build, "from", "--pull-never", "localhost/sandbox").strip()
    yield Path(quietly(*build, "mount", container).strip())
    quietly(*build, "rm", "--all")
    quietly(*build, "rmi", "--all", "--force")


@pytest.fixture
def run(root: Path, tmp_path: Path) -> Run:
    """Runs a command in the image under gVisor, as the runner of a pod is run."""

    def run(words: Sequence[str], uid: int = 1000) -> subprocess.CompletedProcess[str]:
        scratch = {"type": "tmpfs", "source": "tmpfs", "options": ["mode=1777"]}
        spec = {
            "ociVersion": "1.0.2",
            "root": {"path": str(root), "readonly": True},
            "process": {
                "args": list(words),
                "cwd": "/",
                "user": {"uid": uid, "gid": uid},
                "noNewPrivileges": True,
                "capabilities": {"bounding": [], "effective": [], "permitted": []},
                "env": ["PATH=/opt/venv/bin:/usr/bin:/bin", "LC_ALL=C.UTF-8", "PYTHONDONTWRITEBYTECODE=1"],
            },
            "mounts": [
                {"destination": "/proc", "type": "proc", "source": "proc"},
                {"destination": "/tmp", **scratch},
                {"destination": "/work", **scratch},
            ],
            "linux": {"namespaces": [{"type": t} for t in ("pid", "mount", "ipc", "uts", "network")]},
        }
        (tmp_path / "config.json").write_text(json.dumps(spec))
        flags = ["--platform=ptrace", "--network=none", "--ignore-cgroups", f"--root={tmp_path / 'state'}"]
        command = ["runsc", *flags, "run", "--bundle", str(tmp_path), f"image-{os.getpid()}"]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)

    return run


def test_it_is_gvisor_and_nobody_is_root(run: Run) -> None:
    assert run(["uname", "-v"]).stdout.strip() == GVISOR
    assert run(["id", "-un"]).stdout.strip() == "runner"
    assert run(["id", "-un"], uid=1001).stdout.strip() == "judge"
    assert run(["touch", "/opt/venv/x"]).returncode != 0


def test_precompiled_headers_boost_and_mold_work(run: Run) -> None:
    done = run(["sh", "-c", HEADERS, BOOST])
    assert (done.returncode, done.stdout) == (0, "1two2"), done.stderr


def test_cmake_builds_with_ninja(run: Run) -> None:
    done = run(["sh", "-c", PROJECT_OF_CMAKE])
    assert (done.returncode, done.stdout.strip()) == (0, "ended with 7"), done.stderr


def test_clang_tidy_sees_a_null_pointer(run: Run) -> None:
    assert "Dereference of null pointer" in run(["sh", "-c", TIDY]).stdout


def test_the_projects_part_is_there(run: Run) -> None:
    done = run(["python", "-m", "cpp_pipeline.sandbox", "serve", "--help"])
    assert done.returncode == 0 and "--token-file" in done.stdout, done.stderr
