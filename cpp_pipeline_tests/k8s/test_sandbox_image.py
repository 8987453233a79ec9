"""The sandbox image, built from its Dockerfile and run under gVisor: by itself, and as the pod of the pool runs it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from cpp_pipeline.sandbox.canaries.run import MODES
from cpp_pipeline.sandbox.compiling.pch import PREBUILT
from cpp_pipeline_tests.k8s.images import Images
from cpp_pipeline_tests.k8s.rendering import one, overlay_objects
from cpp_pipeline_tests.sandbox.pod.gvisor import (
    Container,
    GvisorPod,
    Root,
    gvisor_pod,
    judged_wrongly,
    skip_without_gvisor,
)

pytestmark = pytest.mark.slow
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

PREPARED = """
import json
from pathlib import Path
import httpx
from cpp_pipeline.sandbox.client import SandboxClient
from cpp_pipeline.sandbox.types import Job
def kept():
    return sorted(path.name for path in Path("/work/private").glob("cpp-pipeline-pch-*/*"))
head, url = "int solve(int a)", "http://127.0.0.1:8080"
texts = [f"{include}{head} {{ return a + 1; }}" for include in ("", "#include <iostream>\\n")]
jobs = [Job(str(i), text, head, [{"args": [2], "expected": 3}]) for i, text in enumerate(texts)]
before = kept()
with SandboxClient(url) as client:
    results = [[r.verdict, r.compile["pch_hit"]] for r in client.batch_verify(jobs)]
metrics = dict(line.split() for line in httpx.get(f"{url}/metrics").text.splitlines() if line.startswith("sandbox_pch"))
print(json.dumps([before, results, kept(), metrics]))
"""


@pytest.fixture(scope="module")
def root(images: Images) -> Root:
    """The image's files, and the environment and folder that its commands start with."""
    skip_without_gvisor()
    container = images.build("cpp-pipeline-sandbox")
    config = images.config("cpp-pipeline-sandbox")
    return Root(images.files(container), "python", config["Env"], config["WorkingDir"])


@pytest.fixture
def run(root: Root, tmp_path: Path) -> Run:
    """Runs a command in the image under gVisor, as the runner of a pod is run."""

    def run(words: Sequence[str], uid: int = 1000) -> subprocess.CompletedProcess[str]:
        scratch = {"type": "tmpfs", "source": "tmpfs", "options": ["mode=1777"]}
        spec = {
            "ociVersion": "1.0.2",
            "root": {"path": str(root.path), "readonly": True},
            "process": {
                "args": list(words),
                "cwd": "/",
                "user": {"uid": uid, "gid": uid},
                "noNewPrivileges": True,
                "capabilities": {"bounding": [], "effective": [], "permitted": []},
                "env": list(root.environment),
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


def containers(*covered: str) -> dict[str, Container]:
    """Judge and runner of the pool's template, with empty folders over some of the image's."""
    template = one(overlay_objects("gke-spot"), "SandboxTemplate", "cpp-sandbox")["spec"]["podTemplate"]["spec"]
    found = {}
    for container in template["containers"]:
        places = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
        del places["socket"]
        uid = container["securityContext"]["runAsUser"]
        found[container["name"]] = Container(uid, container["command"], [*places.values(), *covered])
    return found


@pytest.fixture(scope="module")
def pod(root: Root) -> Iterator[GvisorPod]:
    """The pod, ready."""
    with gvisor_pod(root, containers()) as found:
        yield found


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


def test_only_root_can_change_what_is_prepared(root: Root) -> None:
    top = root.path / PREBUILT.relative_to("/")
    found = [path.lstat() for path in (top.parent.parent, top.parent, top, *top.rglob("*"))]
    assert {p.name for p in top.rglob("*") if p.is_file()} >= {"judge.hpp.gch", "wide.hpp.gch", "runner.o", "complete"}
    assert {(entry.st_uid, entry.st_gid, entry.st_mode & 0o022) for entry in found} == {(0, 0, 0)}


def test_a_pod_prepares_nothing_and_uses_what_the_image_has(pod: GvisorPod) -> None:
    before, results, after, metrics = json.loads(pod.python(PREPARED))
    assert (before, after) == ([], [])
    assert results == [["AC", True], ["AC", True]]
    assert float(metrics["sandbox_pch_hits_total"]) > 0
    assert float(metrics["sandbox_pch_misses_total"]) == 0


def test_a_pod_of_an_image_without_them_makes_its_own(root: Root) -> None:
    with gvisor_pod(root, containers(str(PREBUILT.parent))) as without:
        before, results, _, metrics = json.loads(without.python(PREPARED))
    assert {name.partition("-")[0] for name in before} == {"gpp"} and len(before) == 4
    assert (results, float(metrics["sandbox_pch_misses_total"])) == ([["AC", True], ["AC", True]], 0)


def test_the_pod_judges_the_canaries_as_everywhere(pod: GvisorPod) -> None:
    assert judged_wrongly(pod, *MODES) == set()
