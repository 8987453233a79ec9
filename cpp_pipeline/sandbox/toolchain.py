"""The compiler in its box: precompiled header, runner object, and the compilation of one unit.

Belongs here: every call of g++. Not here: a unit's text (`program`), and who is to blame in it (`workbench`).
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
import shutil
import stat
import subprocess
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path

from cpp_pipeline.sandbox.isolation import NOBODY, Box, BoxResult, Bubblewrap, IsolationError, Limits
from cpp_pipeline.sandbox.types import STANDARDS

NATIVE = Path(__file__).resolve().parent / "native"
_CORE, _WIDE = "judge.hpp", "wide.hpp"
_SCRIPT = '"$@" ; rc=$? ; times >&1 ; exit $rc'
_COMPILE = Limits(
    wall_seconds=40,
    cpu_seconds=15,
    memory_bytes=2 << 30,
    file_bytes=200 << 20,
    open_files=256,
    output_bytes=4 << 20,
    workspace_bytes=256 << 20,
)
_BUILD = Limits(
    wall_seconds=240,
    cpu_seconds=60,
    memory_bytes=4 << 30,
    file_bytes=400 << 20,
    open_files=256,
    workspace_bytes=256 << 20,
)
_OVER_LIMIT = re.compile(
    r"terminated program|out of memory|virtual memory exhausted|File size limit|No space left|constexpr-.*-limit"
)
_NO_HEADER = re.compile(r"/box/(pch|wide)/\w+\.hpp: No such file")
_WANTS_WIDE = re.compile(r"#\s*include\s*<(bits/stdc\+\+\.h|iostream)>")
# words that need the headers which <bits/stdc++.h> has, and which nearly nobody uses
_HEAVY = re.compile(r"chrono|regex|random|mt19937|_distribution|ranges|views|stream|thread|mutex|async|atomic|complex")
_TIMES = re.compile(r"(\d+)m([\d.]+)s")
# Undefined behaviour has to end the same way every time, alone or in a group: a bad index stops the program, an
# uninitialised variable holds a pattern. -pthread changes macros: a precompiled header without it is refused.
FLAGS = (
    *("-O0", "-w", "-pthread", "-D_GLIBCXX_ASSERTIONS", "-ftrivial-auto-var-init=pattern"),
    *("-fno-diagnostics-show-caret", "-fdiagnostics-color=never"),
)


class ToolchainError(Exception):
    """g++ is missing, or our own sources do not compile; the message holds the cause."""


@dataclass(frozen=True)
class Compiled:
    """Outcome of one compilation: `status` is "ok", "error" (the code's fault) or "limit"."""

    status: str
    stderr: str
    pch_hit: bool
    cpu_seconds: float


class Toolchain:
    """g++ inside boxes, with its precompiled header and runner object kept between starts of the service.

    The cache folder is used only when this user owns it and nobody else may write to it.
    """

    def __init__(self, boxes: Bubblewrap, work: Path, compiler: str = "/usr/bin/g++") -> None:
        if not Path(compiler).exists():
            raise ToolchainError(f"{compiler} is missing; on Debian: apt-get install g++")
        self.boxes, self.work, self.compiler = boxes, work, compiler
        self.linker = ("-fuse-ld=mold",) if shutil.which("mold") else ()
        self._lock = threading.Lock()

    @functools.cached_property
    def version(self) -> str:
        """First line of `g++ --version`."""
        run = subprocess.run([self.compiler, "--version"], capture_output=True, text=True, check=True)
        return run.stdout.splitlines()[0]

    def prepared(self, std: str, wide: bool = False) -> Path:
        """Folder with a precompiled header of one standard, and with the runner; built when missing."""
        if std not in STANDARDS:
            raise ValueError(f"std {std!r}: use one of {', '.join(STANDARDS)}")
        with self._lock:
            folder = self._cache() / (std.replace("+", "p") + ("-wide" if wide else ""))
            if not (folder / "complete").exists():
                self._prepare(std, folder, wide)
            return folder

    def _cache(self) -> Path:
        sources = b"".join(p.read_bytes() for p in sorted(NATIVE.rglob("*.*")) if p.is_file())
        digest = hashlib.sha256(sources + " ".join((*FLAGS, self.version)).encode()).hexdigest()[:16]
        shared = Path(tempfile.gettempdir()) / f"cpp-pipeline-pch-{os.geteuid()}-{digest}"
        shared.mkdir(mode=0o755, exist_ok=True)
        found = shared.lstat()
        if found.st_uid == os.geteuid() and stat.S_ISDIR(found.st_mode) and not found.st_mode & 0o022:
            return shared
        private = self.work / "pch"
        private.mkdir(exist_ok=True)
        return private

    def _prepare(self, std: str, folder: Path, wide: bool) -> None:
        out = self.open_folder()
        header = _WIDE if wide else _CORE
        steps: dict[str, tuple[str, ...]] = {f"{header}.gch": (f"/box/native/{header}", "-x", "c++-header")}
        if not wide:
            steps["runner.o"] = ("/box/native/runner.cpp", "-c", "-O1")
            steps["probe"] = ("/box/native/probe.c", "-x", "c", "-std=gnu11")
        for name, (source, *flags) in steps.items():
            standard = [] if source.endswith(".c") else [f"-std={std}"]
            order = [*FLAGS, *standard, *flags, source]
            result = self._gcc([*order, "-o", f"/out/{name}"], out, _BUILD, [(str(NATIVE), "/box/native")])
            if result.exit_code != 0:
                raise ToolchainError(f"cannot build {name}: {result.stderr.decode('utf-8', 'replace')[-800:]}")
        (out / "complete").touch()
        for path in (out, *out.iterdir()):  # from here on only this user may change it
            os.chown(path, os.geteuid(), os.getegid())
        try:
            out.rename(folder)
        except OSError:  # another process was faster: its folder is as good as ours
            if not (folder / "complete").exists():
                raise
            shutil.rmtree(out)

    def open_folder(self) -> Path:
        """New folder into which the compiler of a box can write."""
        folder = Path(tempfile.mkdtemp(dir=self.work))
        folder.chmod(0o755)
        if self.boxes.drop_root:
            os.chown(folder, NOBODY, NOBODY)
        return folder

    def _gcc(
        self, flags: list[str], out: Path, limits: Limits, readonly: list[tuple[str, str]], stdin: bytes = b""
    ) -> BoxResult:
        argv = ["/bin/sh", "-c", _SCRIPT, "sh", self.compiler, *flags]
        result = self.boxes.run(Box(argv, limits, stdin, readonly, [(str(out), "/out")]))
        if result.killed:  # compiling runs nothing of the candidate, which therefore cannot have done it
            raise IsolationError("the compiler was killed from outside its box; is the machine out of memory?")
        return result

    def compile(self, source: str, std: str, out: Path) -> Compiled:
        """Compile and link one unit to `out/program`.

        The header itself is hidden from the first attempt, so an unusable precompiled header cannot pass unseen.
        """
        mounts = [(str(self.prepared(std)), "/box/pch")]
        folder, header = "pch", _CORE
        if _WANTS_WIDE.search(source):
            mounts.append((str(self.prepared(std, wide=True)), "/box/wide"))
            folder, header = "wide", _WIDE
        done = self._unit(source, std, out, mounts, f"/box/{folder}/{header}")
        if done.status == "error" and _NO_HEADER.search(done.stderr):
            again = self._unit(source, std, out, mounts, f"/box/native/{header}")
            return Compiled(again.status, again.stderr, False, done.cpu_seconds + again.cpu_seconds)
        return done

    def _unit(self, source: str, std: str, out: Path, readonly: list[tuple[str, str]], header: str) -> Compiled:
        shim = "shim_full" if _HEAVY.search(source) else "shim"
        flags = [f"-std={std}", *FLAGS, *self.linker, "-I", f"/box/native/{shim}", "-include", header]
        flags += ["-x", "c++", "-", "-x", "none", "/box/pch/runner.o", "-o", "/out/program"]
        data = source.encode("utf-8", "surrogateescape")
        result = self._gcc(flags, out, _COMPILE, [*readonly, (str(NATIVE), "/box/native")], data)
        stderr = result.stderr.decode("utf-8", "replace")
        limit = result.timed_out or result.flooded or bool(_OVER_LIMIT.search(stderr))
        status = "limit" if limit else "ok" if result.exit_code == 0 and _is_program(out) else "error"
        return Compiled(status, stderr, "/native/" not in header, _cpu_seconds(result.stdout))

    def diagnostics(self, source: str, std: str) -> BoxResult:
        """What `-Wall -Wextra` says, with the data flow that only an optimising compiler sees."""
        flags = [f"-std={std}", "-Wall", "-Wextra", "-S", "-o", "/dev/null", "-O1", "-fdiagnostics-color=never"]
        flags += ["-fno-diagnostics-show-caret", "-fmax-errors=50", "-I", "/box/native/shim", "-x", "c++", "-"]
        out = self.open_folder()
        try:
            return self._gcc(flags, out, _COMPILE, [(str(NATIVE), "/box/native")], source.encode())
        finally:
            shutil.rmtree(out)


def _is_program(out: Path) -> bool:
    path = out / "program"
    return path.exists() and not path.is_symlink() and path.is_file()


def _cpu_seconds(printed: bytes) -> float:
    """Children's time in the shell's `times`: two lines of user and system time, the second is ours."""
    found = _TIMES.findall(printed.decode("ascii", "replace"))
    return sum(60 * int(minutes) + float(seconds) for minutes, seconds in found[2:4])
