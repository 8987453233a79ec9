"""Images built from their Dockerfiles, on a machine that has neither a registry nor a daemon.

The base is a Debian that mmdebstrap makes, named by the digest that it has here.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from cpp_pipeline_tests.k8s.rendering import PROJECT

ARCHIVE = "http://deb.debian.org/debian"
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
_INSIDE = "/etc/ssl/machine.crt"


def skip_without_tools() -> None:
    """Images are built by root, with buildah and mmdebstrap."""
    missing = [name for name in ("buildah", "mmdebstrap") if shutil.which(name) is None]
    if missing or os.geteuid() != 0:
        pytest.skip(f"needs root and Debian's buildah and mmdebstrap; missing: {', '.join(missing) or 'root'}")


def quietly(*words: object) -> str:
    """Run a command that has to succeed; returns what it prints."""
    done = subprocess.run([str(w) for w in words], capture_output=True, text=True, check=False, cwd=PROJECT)
    assert done.returncode == 0, f"{words}: {done.stderr[-3000:]}"
    return done.stdout


class Images:
    """A store of images in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._buildah = ["buildah", "--root", folder / "store", "--runroot", folder / "run", "--storage-driver", "vfs"]

    @cached_property
    def _base(self) -> str:
        """A Debian to start from, by digest."""
        archive = self._folder / "base.tar"
        quietly("mmdebstrap", "--variant=minbase", "bookworm", archive, ARCHIVE)
        container = self.buildah("from", "scratch")
        self.buildah("add", container, archive, "/")
        archive.unlink()
        self.buildah("commit", "--rm", container, "localhost/base")
        digest = self.buildah("images", "--digests", "--format", "{{.Digest}}", "localhost/base")
        return f"localhost/base@{digest}"

    def buildah(self, *words: object) -> str:
        """Run buildah on this store; returns what it prints."""
        return quietly(*self._buildah, *words).strip()

    def build(self, name: str) -> str:
        """Build `k8s/images/NAME.Dockerfile`; returns a container of it, which nothing runs in yet."""
        given = {"BASE": self._base, "DEBIAN": ARCHIVE, "SOURCE_DATE_EPOCH": "1790000000"}
        arguments = [f"--build-arg={key}={value}" for key, value in given.items()]
        options = ["--isolation=chroot", "--network=host", "--pull-never", *self._of_this_machine()]
        self.buildah("bud", *options, *arguments, "-f", f"k8s/images/{name}.Dockerfile", "-t", name, ".")
        return self.buildah("from", "--pull-never", f"localhost/{name}")

    def _of_this_machine(self) -> list[str]:
        """What pip needs here: certificates, where something between it and PyPI has its own, and wheels at hand."""
        settings, volumes = ["[global]"], []
        wheels = os.environ.get("PIP_FIND_LINKS", "")
        for path, inside, setting in ((CERTIFICATES, _INSIDE, "cert"), (Path(wheels or "-"), "/wheels", "find-links")):
            if path.exists():
                settings.append(f"{setting} = {inside}")
                volumes.append(f"--volume={path}:{inside}:ro")
        (self._folder / "pip.conf").write_text("\n".join([*settings, ""]))
        return [f"--volume={self._folder}/pip.conf:/etc/pip.conf:ro", *volumes]

    def config(self, name: str) -> dict[str, Any]:
        """What an image says of the commands that are run in it: `Env`, `User`, `WorkingDir`."""
        found: dict[str, Any] = json.loads(self.buildah("inspect", "--type", "image", name))["OCIv1"]["config"]
        return found

    def files(self, container: str) -> Path:
        """Where the files of a container are found."""
        return Path(self.buildah("mount", container))

    def remove(self) -> None:
        """Remove all containers and images."""
        self.buildah("rm", "--all")
        self.buildah("rmi", "--all", "--force")
