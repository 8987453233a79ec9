"""Where this machine lets us make control groups: v2 with both controllers, else v1, else nowhere.

Belongs here: reading what is mounted and where this process is, and trying it. Our own group in v2 usually has
processes in it, and so may have no children with controllers; then the nearest above it that has is used, if we may.
"""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from cpp_pipeline.sandbox.isolation.cgroup import Groups

logger = logging.getLogger(__name__)


def open_groups(jail: Path, proc: Path = Path("/proc/self")) -> Groups:
    """What this machine offers, tried with a process that joins a group.

    Parameters
    ----------
    jail : Path
        The launcher (`native/jail.c`).
    proc : Path
        Folder with the files `mountinfo` and `cgroup` of this process.
    """
    for parents, version in _hierarchies(proc):
        groups = Groups(parents, version)
        groups.sweep()
        try:
            with groups.lease(64 << 20, 16) as group:
                joins = [word for fd in group.descriptors for word in ("-j", str(fd))]
                order = [str(jail), *joins, "--", "/bin/true"]
                subprocess.run(order, pass_fds=group.descriptors, check=True, capture_output=True, env={})
        except (OSError, subprocess.CalledProcessError) as error:
            logger.info("control groups %s in %s cannot be used: %s", version, parents[0], error)
            groups.close()
        else:
            return groups
    return Groups()


def _hierarchies(proc: Path) -> Iterator[tuple[list[Path], str]]:
    own = {}
    for line in (proc / "cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        own.update(dict.fromkeys(controllers.split(","), path))
    found: dict[str, Path] = {}
    for line in (proc / "mountinfo").read_text().splitlines():
        left, _, right = line.partition(" - ")
        root, mount = left.split()[3:5]
        kind, _, options = right.split(" ", 2)
        names = {"cgroup": options.split(","), "cgroup2": [""]}.get(kind, [])
        for name in {"memory", "pids", ""}.intersection(names) & own.keys():
            inside = os.path.relpath(own[name], root)
            folder = Path(mount, inside)
            found[name] = folder if not inside.startswith("..") and folder.is_dir() else Path(mount)
            if name == "":
                yield from _delegated(folder, Path(mount))
    if "memory" in found:
        yield [found[name] for name in ("memory", "pids") if name in found], "v1"


def _delegated(own: Path, mount: Path) -> Iterator[tuple[list[Path], str]]:
    """Our own group or the nearest above it whose children have both controllers."""
    for folder in (own, *own.parents):
        with contextlib.suppress(OSError):
            if {"memory", "pids"} <= set((folder / "cgroup.subtree_control").read_text().split()):
                yield [folder], "v2"
        if folder == mount:
            return
