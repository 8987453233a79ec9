"""Dockerfiles: pinned, not root, and complete for what they run."""

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from cpp_pipeline.sandbox.compiling.pch import PREBUILT
from cpp_pipeline_tests.k8s.rendering import MANIFESTS, PROJECT, one, overlay_objects

IMAGES = MANIFESTS / "images"
NAMES = ("cpp-pipeline", "cpp-pipeline-sandbox")


def dockerfile(name: str) -> list[str]:
    """Instructions of a Dockerfile, continued lines joined, without comments."""
    text = (IMAGES / f"{name}.Dockerfile").read_text().replace("\\\n", " ")
    return [re.sub(r"\s+", " ", line) for line in text.splitlines() if line and not line.startswith("#")]


@pytest.mark.parametrize("name", NAMES)
def test_nothing_floats_and_nothing_runs_as_root(name: str) -> None:
    lines = dockerfile(name)
    assert lines[:2] == ["ARG BASE", "FROM ${BASE} AS base"]
    stages = {line.split(" AS ")[1] for line in lines if line.startswith("FROM") and " AS " in line}
    assert all(line.split()[1] in {"${BASE}", *stages} for line in lines if line.startswith("FROM"))
    assert sum(line.startswith("FROM") for line in lines) == 3 and lines.count("ARG BASE") == 3
    users = [line for line in lines if line.startswith("USER")]
    assert users == ["USER 1000:1000"]
    assert not any(word in line for line in lines for word in (":latest", "curl ", "wget ", "ADD "))
    installs = [line for line in lines if "pip install" in line]
    assert len(installs) == 1 and "constraints.txt" in installs[0] and "--no-cache-dir" in installs[0]


@pytest.mark.parametrize(
    ("base", "archive", "words"),
    [
        ("", "http://a", "BASE='': name the base image by digest"),
        ("debian:bookworm-slim", "http://a", "BASE='debian:bookworm-slim': name the base image by digest"),
        ("debian@sha256:0", "", "DEBIAN is not set: name an archive"),
    ],
)
def test_a_base_without_a_digest_ends_the_build(base: str, archive: str, words: str) -> None:
    env = {"PATH": "/nonexistent", "BASE": base, "DEBIAN": archive}
    done = subprocess.run(["/bin/sh", IMAGES / "install-debian"], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and words in done.stderr


def test_the_image_of_the_project_has_extras_that_there_are() -> None:
    extras = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    (install,) = (line for line in dockerfile("cpp-pipeline") if "pip install" in line)
    wanted = set(install.partition("[")[2].partition("]")[0].split(","))
    assert wanted == {"gcs", "k8s"} and wanted <= extras.keys()


def test_users_of_the_sandbox_image_are_those_of_the_pool() -> None:
    spec = one(overlay_objects("gke-spot"), "SandboxTemplate", "cpp-sandbox")["spec"]["podTemplate"]["spec"]
    wanted = {c["name"]: c["securityContext"]["runAsUser"] for c in spec["containers"]}
    text = " ".join(dockerfile("cpp-pipeline-sandbox"))
    made = {name: int(uid) for uid, name in re.findall(r"useradd --uid (\d+) .*? (\w+)(?= &&)", text)}
    assert made == wanted


def test_the_sandbox_image_has_what_candidates_and_checks_use() -> None:
    (packages,) = (line for line in dockerfile("cpp-pipeline-sandbox") if "install-debian" in line and "g++" in line)
    assert {"g++", "cmake", "ninja-build", "clang-tidy", "libboost-dev", "mold"} <= set(packages.split())


def test_the_sandbox_image_prepares_headers_where_a_judge_looks_for_them() -> None:
    lines = dockerfile("cpp-pipeline-sandbox")
    (command,) = (line for line in lines if "compiling.prebuild" in line)
    assert f"{PREBUILT} " in command and f"chown -R 0:0 {PREBUILT.parent}" in command
    assert f"COPY --from=built {PREBUILT.parent} {PREBUILT.parent}" in lines
    assert lines.index(command) > max(i for i, line in enumerate(lines) if line.startswith("COPY cpp_pipeline"))


def closure(names: list[str]) -> set[str]:
    """Distributions with all that they need, on this Python."""
    found: set[str] = set()
    while names:
        name = names.pop().lower().replace("_", "-")
        if name in found:
            continue
        found.add(name)
        for text in importlib.metadata.requires(name) or []:
            needed = Requirement(text)
            if needed.marker is None or needed.marker.evaluate({"extra": ""}):
                names.append(needed.name)
    return found


LOADED = """
import importlib.metadata, sys
import cpp_pipeline.sandbox.__main__, cpp_pipeline.sandbox.controller.app, cpp_pipeline.sandbox.canaries
owners = importlib.metadata.packages_distributions()
print(*sorted({o for m in sys.modules for o in owners.get(m.partition(".")[0], [])}))
"""


def test_the_sandbox_image_holds_what_the_sandbox_imports(tmp_path: Path) -> None:
    """The part of the project that is copied is enough, and so are the packages that are installed."""
    lines = dockerfile("cpp-pipeline-sandbox")
    target = tmp_path / "cpp_pipeline"
    for line in (line for line in lines if line.startswith("COPY cpp_pipeline")):
        *sources, place = line.split()[1:]
        folder = tmp_path / place.partition("site-packages/")[2]
        for source in map(PROJECT.joinpath, sources):
            if source.is_dir():
                shutil.copytree(source, folder, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                folder.mkdir(exist_ok=True)
                shutil.copy(source, folder)
    assert sorted(p.name for p in target.iterdir()) == ["__init__.py", "sandbox", "settings.py"]
    env = {**os.environ, "PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", LOADED], capture_output=True, text=True, env=env, cwd=tmp_path, check=False
    )
    assert done.returncode == 0, done.stderr
    (install,) = (line for line in lines if "pip install" in line)
    given = closure(install.partition("constraints.txt ")[2].split())
    optional = {"setuptools", "watchfiles", "opentelemetry-api"}  # taken where they are, and not missed
    assert {name.lower().replace("_", "-") for name in done.stdout.split()} - optional - {"cpp-pipeline"} <= given


def test_the_build_context_is_what_the_images_copy() -> None:
    kept = {line[1:] for line in (PROJECT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    for name in NAMES:
        copied = [line.split()[1:-1] for line in dockerfile(name) if line.startswith("COPY") and "--from" not in line]
        for path in (path for paths in copied for path in paths):
            assert any(path == k or path.startswith(f"{k}/") for k in kept), path
            assert (PROJECT / path).exists()
