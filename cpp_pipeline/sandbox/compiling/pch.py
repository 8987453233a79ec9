"""Precompiled headers and prebuilt objects: made in a box, checked, and kept between starts of the service.

Belongs here: the cache folder, the folder that an image brings along, what is in them, and the proof that it can be
used. Not here: compiling a candidate (`toolchain`), and filling an image's folder (`prebuild`). A trimmed header beats
one of all of <bits/stdc++.h>: g++ keeps pending templates in it and redoes them in every unit.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import logging
import os
import re
import shutil
import tempfile
import threading
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from cpp_pipeline.sandbox.compiling.compilers import FLAGS, SANITIZE, Build, ToolchainError, find, installed
from cpp_pipeline.sandbox.isolation import BoxResult, Limits
from cpp_pipeline.sandbox.kept import is_closed

logger = logging.getLogger(__name__)
PREBUILT = Path("/opt/cpp-pipeline/prepared")
"""Where an image keeps what was made when it was built, by identity; read and never written."""
NATIVE = Path(__file__).resolve().parents[1] / "native"
CORE, WIDE = "judge.hpp", "wide.hpp"
OBJECTS = ("runner.o", "harness.o", "inproc.o")
"""Built from the source of the same name, once per compiler and standard."""
INSTANCES = "instances.o"
"""The templates that the precompiled headers only declare; every program needs it."""
AT_START = tuple((Build(), wide) for wide in (False, True))
"""Builds and headers that a judge needs before its first job; others are made when they are first asked for."""
TOOLS = ("timed",)
"""Small C programs of our own that run in boxes."""
_LIMITS = Limits(
    wall_seconds=240,
    cpu_seconds=60,
    memory_bytes=4 << 30,
    file_bytes=400 << 20,
    open_files=256,
    workspace_bytes=256 << 20,
)
_NAME = re.compile(r"\b[A-Za-z]\w*")
_HEADER_BYTES = 100 << 20
Compile = Callable[[list[str], Path, Limits], BoxResult]
"""Runs one command line of a compiler in a box: the folder is mounted at /out, our sources at /box/native."""


class Prepared:
    """The cache folder. It is used only when this user owns it and nobody else may write to it.

    Parameters
    ----------
    run : Compile
        How to run a compiler.
    open_folder : callable
        Makes a folder that a box can write to.
    root : Path
        The cache folder; see `kept_folder`.
    given : Path, optional
        Folder of the same kind and identity that an image brings along; what is whole there is taken from it, if
        nobody but root and this user can change it. Nothing is written to it.
    room : int, optional
        Bytes that the folder may come to hold. A header of g++ 12 takes 45 to 90 MB, and 36 of them can be asked for,
        more than a pod has memory for; one for which there is no room is not made.
    """

    def __init__(
        self,
        run: Compile,
        open_folder: Callable[[], Path],
        root: Path,
        given: Path | None = None,
        room: int | None = None,
    ) -> None:
        self._run, self._open_folder, self.root, self._given, self._room = run, open_folder, root, given, room
        self._guard = threading.Lock()
        self._locks: dict[str, threading.Lock] = defaultdict(threading.Lock)

    def all_of(self, build: Build, wide: bool) -> Path | None:
        """As `header`; the objects of the build are made as well."""
        self.objects(build)
        self.instances(build)
        return self.header(build, wide)

    def header(self, build: Build, wide: bool) -> Path | None:
        """Folder with the precompiled header of one build; None where there is no room for one more."""
        name, kept = WIDE if wide else CORE, f"{build.name}{'-wide' if wide else ''}"
        compiler = find(build.compiler)

        def make(out: Path) -> None:
            flags = compiler.flags(build)
            made = f"/out/{compiler.precompiled(name)}"
            self._build([compiler.path, *flags, *compiler.precompile(f"/box/native/{name}"), "-o", made], out, build)
            # the header itself is not in that folder, so this works only with the precompiled one
            use = [*compiler.use("/out", name), "-x", "c++", "/box/native/empty.hpp", "-o", "/out/check"]
            self._build([compiler.path, *flags, *use], out, build)
            (out / "check").unlink()

        return self._made(kept, make) if self._has(kept) or self._fits() else None

    def objects(self, build: Build) -> Path:
        """Folder with `OBJECTS` for one compiler and standard, never sanitized: they judge."""
        return self._objects(replace(build, opt="-O1", sanitize=False), "objects", OBJECTS)

    def instances(self, build: Build) -> Path:
        """Folder with `INSTANCES` for one compiler and standard, sanitized or not: they run for the candidate."""
        return self._objects(replace(build, opt="-O1"), "instances", (INSTANCES,))

    def _objects(self, build: Build, kind: str, names: Sequence[str]) -> Path:
        compiler = find(build.compiler)

        def make(out: Path) -> None:
            for name in names:
                source = f"/box/native/{name.removesuffix('.o')}.cpp"
                self._build([compiler.path, *compiler.flags(build), "-c", source, "-o", f"/out/{name}"], out, build)

        return self._made(f"{build.name}-{kind}", make)

    def tool(self, name: str) -> Path:
        """One of `TOOLS`, ready to run in a box."""

        def make(out: Path) -> None:
            for tool in TOOLS:
                command = [
                    find("g++").path,
                    "-x",
                    "c",
                    "-std=gnu11",
                    "-O1",
                    f"/box/native/{tool}.c",
                    "-o",
                    f"/out/{tool}",
                ]
                try:  # starts faster, but not every system has a static libc
                    self._build([*command, "-static"], out, Build())
                except ToolchainError:
                    self._build(command, out, Build())

        return self._made("tools", make) / name

    def names(self, build: Build) -> frozenset[str]:
        """Names that the whole of <bits/stdc++.h> declares or defines and the shim for it does not."""

        def make(out: Path) -> None:
            compiler = find(build.compiler)
            for file, source in (("shim", f"/box/native/{WIDE}"), ("whole", "/box/native/whole.hpp")):
                flags = [*compiler.flags(build), "-E", "-P", "-dD", "-x", "c++", source]
                self._build([compiler.path, *flags, "-o", f"/out/{file}"], out, build)
            shim, whole = (set(_NAME.findall((out / file).read_text())) for file in ("shim", "whole"))
            (out / "names").write_text("\n".join(sorted(whole - shim)))

        return _words(self._made(f"{replace(build, opt='-O0').name}-names", make) / "names")

    def _has(self, name: str) -> bool:
        given = self._given is not None and _trusted(self._given, name)
        return bool(given) or (self.root / name / "complete").exists()

    def _fits(self) -> bool:
        if self._room is None:
            return True
        kept = 0
        for path in self.root.glob("*/*"):
            with contextlib.suppress(FileNotFoundError):  # another process has replaced its folder
                kept += path.stat().st_size
        return kept + _HEADER_BYTES <= self._room

    def _made(self, name: str, make: Callable[[Path], None]) -> Path:
        if self._given is not None and (given := _trusted(self._given, name)):
            return given
        folder = self.root / name
        with self._guard:
            lock = self._locks[name]
        with lock:
            with contextlib.suppress(OSError):
                os.utime(folder.parent)  # in use: nobody removes it
            if not (folder / "complete").exists():
                out = self._open_folder()
                try:
                    make(out)
                    _publish(out, folder)
                finally:
                    shutil.rmtree(out, ignore_errors=True)
        return folder

    def _build(self, command: list[str], out: Path, build: Build) -> None:
        result = self._run(command, out, _LIMITS)
        if result.exit_code != 0:
            told = result.stderr.decode("utf-8", "replace")[-800:] or f"exit code {result.exit_code}"
            hint = f" (sanitizers need, on Debian: {_SANITIZERS[build.compiler]})" if build.sanitize else ""
            raise ToolchainError(f"cannot prepare {command[-1]} for {build.name}{hint}: {told}")


_SANITIZERS = {"g++": "apt-get install g++", "clang++": "apt-get install libclang-rt-14-dev"}


def identity() -> str:
    """Digest of what is prebuilt from which sources, of the flags, and of the compilers of this machine."""
    sources = b"".join(p.read_bytes() for p in sorted(NATIVE.rglob("*.*")) if p.is_file())
    texts = (*FLAGS, *SANITIZE, *OBJECTS, *TOOLS, *(c.version for c in installed()))
    return hashlib.sha256(sources + " ".join(texts).encode()).hexdigest()


@functools.cache
def _trusted(root: Path, name: str) -> Path | None:
    """A folder of an image, if it is whole and closed to others; looked at once, since nobody then changes it."""
    folder = root / name
    if not (folder / "complete").is_file():
        return None
    for path in (root.parent, root, folder, *folder.iterdir()):
        if not is_closed(path, 0, os.geteuid()):
            logger.warning("%s is built anew: others may change %s; chown it to root and chmod go-w", folder, path)
            return None
    return folder


@functools.cache
def _words(path: Path) -> frozenset[str]:
    return frozenset(path.read_text().split())


def _publish(out: Path, folder: Path) -> None:
    (out / "complete").touch()
    for path in (out, *out.iterdir()):  # from here on only this user may change it
        os.chown(path, os.geteuid(), os.getegid())
        path.chmod(path.stat().st_mode & 0o755)
    folder.parent.mkdir(exist_ok=True)
    try:
        out.rename(folder)
    except OSError:
        if (folder / "complete").exists():
            return  # another process was faster: its folder is as good as ours
        # something else removed a part of it, as cleaners of temporary folders do
        broken = Path(tempfile.mkdtemp(dir=folder.parent, prefix="broken-"))
        folder.rename(broken / folder.name)
        out.rename(folder)
        shutil.rmtree(broken, ignore_errors=True)
