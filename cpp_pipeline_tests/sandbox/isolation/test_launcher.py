"""Our own programs of the host are compiled once by each compiler, and never taken from who else could write them."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from cpp_pipeline.sandbox.isolation import IsolationError
from cpp_pipeline.sandbox.isolation.launcher import build

COUNTING = '#!/bin/sh\necho "$@" >> {log}\nexec {compiler} "$@"\n'


class Host:
    """A machine whose compiler tells of each use."""

    def __init__(self, folder: Path) -> None:
        self.temporary, self.compiler, self.log = folder / "tmp", folder / "bin" / "cc", folder / "log"
        self.temporary.mkdir()
        self.compiler.parent.mkdir()
        self.install("")

    def install(self, version: str) -> None:
        real = shutil.which("cc", path="/usr/bin:/bin")
        assert real
        self.compiler.write_text(COUNTING.format(log=self.log, compiler=real) + version)
        self.compiler.chmod(0o755)

    def used(self) -> int:
        return len(self.log.read_text().splitlines()) if self.log.exists() else 0

    def build(self, name: str) -> Path:
        folder = self.temporary / name
        folder.mkdir()
        return build("timed.c", folder)


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    found = Host(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(found.temporary))
    monkeypatch.setenv("PATH", f"{found.compiler.parent}:/usr/bin:/bin")
    return found


def test_a_program_is_compiled_once_and_copied_for_every_later_service(host: Host) -> None:
    first, second = host.build("first"), host.build("second")
    assert host.used() == 1
    assert first.parent != second.parent
    assert first.read_bytes() == second.read_bytes()
    assert subprocess.run([second], check=False, capture_output=True).returncode >= 0  # it can be started


def test_another_compiler_makes_it_anew(host: Host) -> None:
    host.build("first")
    host.install("# version 2\n")
    host.build("second")
    assert host.used() == 2


def test_a_folder_that_others_may_write_to_gives_no_program(host: Host) -> None:
    host.build("first")
    (kept,) = host.temporary.glob("cpp-pipeline-programs-*")
    (planted,) = kept.iterdir()
    planted.write_text("#!/bin/sh\n")
    kept.chmod(0o777)
    assert host.build("second").read_bytes().startswith(b"\x7fELF")
    assert host.used() == 2


def test_what_cannot_be_compiled_is_told_and_not_kept(host: Host) -> None:
    host.compiler.write_text("#!/bin/sh\necho no such luck >&2\nexit 1\n")
    with pytest.raises(IsolationError, match=r"cannot build timed.c: no such luck"):
        host.build("first")
    (kept,) = host.temporary.glob("cpp-pipeline-programs-*")
    assert list(kept.iterdir()) == []
