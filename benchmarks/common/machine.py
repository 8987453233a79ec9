"""The machine and the programs that a run was measured with."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

LOAD = "load average at the start"
"""What tells how busy the machine was; no property of it."""
_PROGRAMS = ("g++", "clang++", "mold", "bwrap", "runsc")
_PACKAGES = ("dagster", "polars", "numpy", "torch", "transformers", "fastapi", "httpx", "pydantic", "uvicorn")


def facts() -> list[tuple[str, str]]:
    """Name and value of everything that a figure may depend on."""
    found = [
        ("cores", str(os.cpu_count())),
        ("processor", _field(Path("/proc/cpuinfo"), "model name")),
        ("memory", f"{int(_field(Path('/proc/meminfo'), 'MemTotal').split()[0]) / (1 << 20):.1f} GiB"),
        ("kernel", platform.release()),
        (LOAD, f"{os.getloadavg()[0]:.2f}"),
        ("python", sys.version.split()[0]),
    ]
    found += [(name, version_of(name)) for name in _PROGRAMS]
    return found + [(name, importlib.metadata.version(name)) for name in _PACKAGES]


def _field(path: Path, name: str) -> str:
    for line in path.read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return "unknown"


def version_of(program: str) -> str:
    """The first line of what `PROGRAM --version` says."""
    path = shutil.which(program)
    if path is None:
        return "not installed"
    said = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout
    return said.splitlines()[0] if said else "unknown"
