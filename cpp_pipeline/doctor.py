"""What this machine has, and what to do about what is missing."""

from __future__ import annotations

import os
import shutil
import subprocess
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cpp_pipeline.settings import Settings

Level = Literal["ok", "optional", "missing"]


@dataclass(frozen=True)
class Finding:
    """One thing looked for: what was found, and the remedy when it is not there."""

    subject: str
    level: Level
    found: str
    remedy: str = ""


def examine(root: str) -> list[Finding]:
    """Look at compiler, isolation, build tools, browser, GPU, cluster, bucket and disk."""
    probes: tuple[Callable[[str], Finding], ...] = (
        _compiler,
        _isolation,
        _cmake,
        _linker,
        browser,
        _gpu,
        cluster,
        storage,
        _mirror,
    )
    return [probe(root) for probe in probes]


def _version(*command: str) -> str | None:
    """First line that a command prints, or None when it is not there."""
    if shutil.which(command[0]) is None:
        return None
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    return (done.stdout or done.stderr).strip().splitlines()[0] if done.returncode == 0 else None


def _compiler(root: str) -> Finding:
    version = _version("g++", "--version")
    if version is None:
        return Finding("compiler", "missing", "no g++", "apt-get install g++; nothing can be judged without it")
    return Finding("compiler", "ok", version)


def _isolation(root: str) -> Finding:
    from cpp_pipeline.sandbox.controller.startup import start_service

    service = start_service(workers=1)
    if service.judge is not None:
        name = service.judge.capabilities()["isolation"]["backend"]
        service.judge.close()
        return Finding("isolation", "ok", f"{name}; every escape that was tried is closed")
    return Finding(
        "isolation",
        "missing",
        service.reason,
        "apt-get install bubblewrap, and allow user namespaces (sysctl user.max_user_namespaces > 0); "
        "or set SANDBOX_URL to a controller elsewhere",
    )


def _cmake(root: str) -> Finding:
    version = _version("cmake", "--version")
    if version is None:
        return Finding("cmake", "missing", "no cmake", "apt-get install cmake ninja-build")
    return Finding("cmake", "ok", version + (" with ninja" if shutil.which("ninja") else " with make"))


def _linker(root: str) -> Finding:
    if shutil.which("mold"):
        return Finding("linker", "ok", _version("mold", "--version") or "mold")
    return Finding("linker", "optional", "no mold; the default linker is used", "apt-get install mold: faster verdicts")


def _gpu(root: str) -> Finding:
    found = _version("nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader")
    if found is None:
        return Finding("gpu", "optional", "none; training runs on the CPU", "presets d8 and d16 want one")
    return Finding("gpu", "ok", found)


def browser(root: str) -> Finding:
    """Debian's chromium, which only the browser tests need."""
    version = _version("chromium", "--version")
    if version is None:
        return Finding("browser", "optional", "no chromium", "apt-get install chromium: browser tests")
    return Finding("browser", "ok", version)


def cluster(root: str) -> Finding:
    """Where commands that load a model run, and what running them as Kubernetes Jobs still needs; no Job is made."""
    from cpp_pipeline.launch.k8s.api import Cluster, ClusterError
    from cpp_pipeline.launch.k8s.pods import is_digest

    try:
        settings = Settings.from_env()
    except ValueError as error:
        return Finding("cluster", "missing", "settings cannot be read", str(error))
    needs = []
    try:
        found = f"cluster {Cluster(settings.k8s_namespace, settings.k8s_config).host} is configured"
    except ClusterError as error:
        found = str(error) if settings.launcher == "k8s" else "no cluster"
        needs.append("the extra k8s, and a kubeconfig (CPP_PIPELINE_K8S_CONFIG or KUBECONFIG) or the account of a pod")
    if not is_digest(settings.k8s_image):
        needs.append("CPP_PIPELINE_K8S_IMAGE=REPOSITORY@sha256:...")
    if "://" not in root:
        needs.append("CPP_PIPELINE_ROOT=gs://bucket/prefix")
    if settings.launcher == "k8s":
        return Finding("cluster", "missing" if needs else "ok", found, "; ".join(needs))
    how = "; ".join(["to run them as Kubernetes Jobs: CPP_PIPELINE_LAUNCHER=k8s", *needs])
    return Finding("cluster", "optional", f"{found}; commands that load a model run on this machine", how)


def storage(root: str) -> Finding:
    """Whether the storage root can be written to, and has room."""
    if "://" in root or root.startswith("gs:"):
        return _bucket(root)
    folder = Path(root).absolute()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free / 2**30
    if not os.access(folder, os.W_OK):
        return Finding("storage", "missing", f"{folder} is not writable", "choose another --root")
    if free < 3:
        return Finding("storage", "missing", f"{free:.1f} GiB free at {folder}", "the main job wants 3 GiB")
    return Finding("storage", "ok", f"{free:.0f} GiB free at {folder}")


def _bucket(root: str) -> Finding:
    from cpp_pipeline.storage.place import at

    try:
        probe = at(f"{root.rstrip('/')}/.doctor-{uuid.uuid4().hex}")
        probe.write(b"")
        probe.delete()
    except (ValueError, RuntimeError) as error:
        return Finding("storage", "missing", str(error), "nothing can be kept without it")
    return Finding("storage", "ok", f"{root} can be read and written")


def _mirror(root: str) -> Finding:
    if shutil.which("apt-get") is None:
        return Finding("real C++", "optional", "no apt-get; the bundled dump is used", "give --dump PATH")
    return Finding("real C++", "ok", "Debian source packages through apt-get")
