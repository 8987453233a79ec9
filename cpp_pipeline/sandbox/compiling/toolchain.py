"""The compiler in its box: one unit in, a program or messages out.

Belongs here: compiling a unit and linking it with prebuilt objects. Not here: how compilers spell it (`compilers`),
precompiled headers (`pch`), a unit's text (`program`), and who is to blame in it (`workbench`).
"""

from __future__ import annotations

import functools
import os
import re
import shutil
import signal
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cpp_pipeline.sandbox.compiling.compilers import Build, ToolchainError, find
from cpp_pipeline.sandbox.compiling.pch import (
    CORE,
    INSTANCES,
    NATIVE,
    OBJECTS,
    PREBUILT,
    WIDE,
    Prepared,
    identity,
)
from cpp_pipeline.sandbox.isolation import Backend, Box, BoxResult, IsolationError, Limits
from cpp_pipeline.sandbox.kept import kept_folder
from cpp_pipeline.sandbox.types import Caps

__all__ = ["NATIVE", "Build", "Compiled", "Toolchain", "ToolchainError"]
_SCRIPT = '"$@" ; rc=$? ; times >&1 ; exit $rc'
_OVER_LIMIT = re.compile(
    r"terminated program|out of memory|virtual memory exhausted|File size limit|No space left"
    r"|constexpr-.*-limit|hit maximum step limit"
)
# clang's parts run in one process, whose signals no driver puts in words
_OVER_CODES = (128 + signal.SIGXCPU, 128 + signal.SIGXFSZ)
_KILLED = re.compile(
    r"^[^\n]{,40}: (?:fatal )?error: (?:Killed signal terminated|unable to execute command: Killed)", re.M
)
_ASKS_FOR_ALL = re.compile(r"#\s*include\s*<bits/stdc\+\+\.h>")
_WANTS_WIDE = re.compile(r"#\s*include\s*<(?:bits/stdc\+\+\.h|iostream|sstream|fstream|iomanip)>")
# words that need the headers which <bits/stdc++.h> has, and the shim for it has not
_HEAVY = re.compile(r"chrono|regex|random|mt19937|_distribution|ranges|views|thread|mutex|async|atomic|complex")
_CLASH = re.compile(r"error: (?:(?!error: )[^\n])*?(?:ambigu|redefin|redecl|conflict|different kind|different type)")
_QUOTED = re.compile(r"(?<=[‘'])(?:std::)?(\w+)")
_ERROR_LINE = re.compile(r"^[^\n]*error: [^\n]*$", re.MULTILINE)
# a message about a place in the code, or of the linker about its names
_BLAMES_CODE = re.compile(
    r":\d+:(?:\d+:)? (?:fatal )?[Ee]rror: |undefined (?:symbol|reference)|duplicate symbol|multiple def"
)
_CALLED = frozenset(("runner.o", "harness.o"))
_TIMES = re.compile(r"(\d+)m([\d.]+)s")


@dataclass(frozen=True)
class Compiled:
    """Outcome of one compilation: `status` is "ok", "error" (the code's fault) or "limit".

    `tier` is the precompiled header: "core", "wide", or "none" where the unit has to do without; `pch_hit` is False
    when it should have been used and could not be.
    """

    status: str
    stderr: str
    pch_hit: bool
    cpu_seconds: float
    tier: str = "core"


@dataclass(frozen=True)
class _Unit:
    """One unit and what all attempts at it share."""

    source: str
    build: Build
    out: Path
    linked: tuple[str, ...]
    mounts: tuple[tuple[str, str], ...]
    limits: Limits


class Toolchain:
    """The compilers inside boxes.

    Parameters
    ----------
    work : Path
        Folder for scratch that boxes may read.
    cache : Path, optional
        Where precompiled headers are kept; by default a folder of this user that outlives the service.
    prebuilt : Path
        Where an image keeps precompiled headers, in a folder named after `identity`; see `Prepared`.
    room : int, optional
        Bytes for what is kept in `cache`; a unit for whose header there is none reads the header's text.

    Raises
    ------
    ToolchainError
        g++ is missing.
    """

    def __init__(
        self,
        boxes: Backend,
        work: Path,
        cache: Path | None = None,
        prebuilt: Path = PREBUILT,
        room: int | None = None,
    ) -> None:
        find("g++")
        self.boxes, self.work = boxes, work
        self.linker = ("-fuse-ld=mold",) if shutil.which("mold") else ()
        self._identity = identity()
        # a precompiled header may hold paths, which are not the same in every kind of box
        root = kept_folder("pch", f"{self._identity[:16]}-{boxes.name}", work / "pch") if cache is None else cache
        self._prepared = Prepared(self._run, self.open_folder, root, prebuilt / self._identity, room)

    def version(self, compiler: str = "g++") -> str:
        """First line of `g++ --version`; raises ToolchainError where that compiler is not installed."""
        return find(compiler).version

    def identity(self) -> str:
        """Equal as long as the same code gets the same verdict: compilers, flags and native sources."""
        return self._identity

    def prepared(self, build: Build, wide: bool = False) -> Path | None:
        """Folder with a precompiled header, None where there is no room; it and the objects are built when missing."""
        return self._prepared.all_of(build, wide)

    def tool(self, name: str) -> Path:
        """A small program of our own that runs in boxes: such as `timed`."""
        return self._prepared.tool(name)

    def open_folder(self) -> Path:
        """New folder into which the compiler of a box can write."""
        folder = Path(tempfile.mkdtemp(dir=self.work))
        folder.chmod(0o755)
        if self.boxes.uid != os.geteuid():
            os.chown(folder, self.boxes.uid, -1)
        return folder

    def compile(
        self,
        source: str,
        build: Build,
        out: Path,
        objects: Sequence[str] = ("runner.o",),
        caps: Caps | None = None,
        bare: str | None = None,
    ) -> Compiled:
        """Compile one unit and link it with prebuilt objects to `out/program`.

        The header itself is hidden from the first attempt, so an unusable precompiled header cannot pass unseen.
        Where names of a unit clash with the header's, `bare` is compiled without it: the same unit which includes
        judge.hpp itself, behind the candidate. A unit that is not called needs no such header and is its own `bare`.

        Raises
        ------
        ToolchainError
            The build's compiler is not installed, or cannot build our own sources.
        """
        unknown = sorted(set(objects) - set(OBJECTS))
        if unknown:
            raise ValueError(f"objects {unknown}: use some of {', '.join(OBJECTS)}")
        compiler = find(build.compiler)
        tier, header = ("wide", WIDE) if _WANTS_WIDE.search(source) else ("core", CORE)
        kept = self._prepared.header(build, tier == "wide")
        mounts = (
            *([(str(kept), "/box/pch")] if kept else []),
            (str(self._prepared.objects(build)), "/box/objects"),
            (str(self._prepared.instances(build)), "/box/instances"),
        )
        linked = (*(f"/box/objects/{name}" for name in objects), f"/box/instances/{INSTANCES}")
        linked += ("-Wl,--wrap=main",) if "inproc.o" in objects else ()
        attempt = functools.partial(self._attempt, _Unit(source, build, out, linked, mounts, _limits(caps or Caps())))
        read, shim = ["-include", f"/box/native/{header}"], not _HEAVY.search(source)
        begin = compiler.use("/box/pch", header) if kept else read
        done = attempt(begin, shim, Compiled("", "", kept is not None, 0.0, tier))
        if done.status == "error" and kept and compiler.missed(done.stderr):
            begin = read
            done = attempt(begin, shim, replace(done, pch_hit=False))
        if done.status == "error" and shim and _ASKS_FOR_ALL.search(source) and self._lacks(done.stderr, build):
            done = attempt(begin, False, done)
        if bare is None and not _CALLED.intersection(objects):
            bare = source
        if done.status == "error" and bare is not None and _CLASH.search(done.stderr):
            other = _Unit(bare, build, out, linked, mounts, _limits(caps or Caps()))
            without = self._attempt(other, ["-I", "/box/native"], False, replace(done, tier="none"))
            done = without if without.status == "ok" else replace(done, cpu_seconds=without.cpu_seconds)
        if done.status == "error":
            _see_that_all_is_there(mounts, linked)
        if done.status == "error" and not _BLAMES_CODE.search(done.stderr):
            self._see_whether_it_works(build)
        return done

    def _see_whether_it_works(self, build: Build) -> None:
        """Raise ToolchainError when not even the smallest program compiles: then a failure says nothing of the code."""
        out = self.open_folder()
        try:
            compiler = find(build.compiler)
            mounts = ((str(self._prepared.instances(build)), "/box/instances"),)
            smallest = _Unit("int main() {}", build, out, (f"/box/instances/{INSTANCES}",), mounts, _limits(Caps()))
            done = self._attempt(smallest, [], False, Compiled("", "", True, 0.0))
        finally:
            shutil.rmtree(out)
        if done.status != "ok":
            raise ToolchainError(f"{compiler.path} fails on the smallest program: {done.stderr[-400:]}")

    def _lacks(self, stderr: str, build: Build) -> bool:
        """Whether an error names something that the whole of <bits/stdc++.h> would have declared."""
        words = {word for line in _ERROR_LINE.findall(stderr) for word in _QUOTED.findall(line)}
        return bool(words & self._prepared.names(build))

    def _attempt(self, unit: _Unit, begin: Sequence[str], shim: bool, before: Compiled) -> Compiled:
        compiler = find(unit.build.compiler)
        command = [compiler.path, *compiler.flags(unit.build), *self.linker]
        command += [*(["-I", "/box/native/shim"] if shim else []), *begin]
        command += ["-x", "c++", "-", "-x", "none", *unit.linked, "-o", "/out/program"]
        data = unit.source.encode("utf-8", "surrogatepass")
        spent = before.cpu_seconds
        for _ in range(2):
            result = self._run(command, unit.out, unit.limits, unit.mounts, data)
            spent += _cpu_seconds(result.stdout)
            stderr = result.stderr.decode("utf-8", "replace")
            if result.out_of_memory or not _KILLED.search(stderr):
                break  # else once more: the machine may have done it, and the candidate's text may say so
        early = result.timed_out or result.flooded or result.out_of_memory
        over = early or result.exit_code in _OVER_CODES or bool(_OVER_LIMIT.search(stderr))
        status = "limit" if over else "ok" if result.exit_code == 0 and _is_program(unit.out) else "error"
        return replace(before, status=status, stderr=stderr, cpu_seconds=spent)

    def _run(
        self,
        command: list[str],
        out: Path,
        limits: Limits,
        readonly: Sequence[tuple[str, str]] = (),
        stdin: bytes = b"",
    ) -> BoxResult:
        argv = ["/bin/sh", "-c", _SCRIPT, "sh", *command]
        mounts = [(str(NATIVE), "/box/native"), *readonly]
        result = self.boxes.run(Box(argv, limits, stdin, mounts, [(str(out), "/out")]))
        if result.killed and not result.out_of_memory:  # nothing of the candidate runs here that could have done it
            raise IsolationError("the compiler was killed from outside its box; is the machine out of memory?")
        return result

    def diagnostics(self, source: str, std: str) -> BoxResult:
        """What `-Wall -Wextra` says, with the data flow that only an optimising compiler sees."""
        flags = [f"-std={std}", "-Wall", "-Wextra", "-S", "-o", "/dev/null", "-O1", "-fdiagnostics-color=never"]
        flags += ["-fno-diagnostics-show-caret", "-fmax-errors=50", "-I", "/box/native/shim", "-x", "c++", "-"]
        out = self.open_folder()
        try:
            return self._run([find("g++").path, *flags], out, _limits(Caps()), stdin=source.encode())
        finally:
            shutil.rmtree(out)


def _see_that_all_is_there(mounts: Sequence[tuple[str, str]], linked: Sequence[str]) -> None:
    """Raise ToolchainError when something of ours has gone, as from a temporary folder: then no error is the code's."""
    inside = {box: Path(host) for host, box in mounts}
    for name in linked:
        folder, _, file = name.rpartition("/")
        if folder in inside and not (inside[folder] / file).is_file():
            raise ToolchainError(f"{inside[folder] / file} has gone; it is built again at the next start")


def _limits(caps: Caps) -> Limits:
    return Limits(
        wall_seconds=caps.compile_wall_seconds,
        cpu_seconds=caps.compile_cpu_seconds,
        memory_bytes=caps.compile_memory_mb << 20,
        file_bytes=200 << 20,
        open_files=256,
        output_bytes=4 << 20,
        workspace_bytes=256 << 20,
    )


def _is_program(out: Path) -> bool:
    path = out / "program"
    return path.exists() and not path.is_symlink() and path.is_file()


def _cpu_seconds(printed: bytes) -> float:
    """Children's time in the shell's `times`: two lines of user and system time, the second is ours."""
    found = _TIMES.findall(printed.decode("ascii", "replace"))
    return sum(60 * int(minutes) + float(seconds) for minutes, seconds in found[2:4])
