"""How each compiler is called: where it is, and how it spells what this room needs of it.

Belongs here: names and flags of g++ and clang++. Not here: running them (`toolchain`), and their precompiled headers'
life (`pch`).
"""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from cpp_pipeline.sandbox.types import COMPILERS, OPTIMISATIONS, STANDARDS

# Undefined behaviour has to end the same way every time, alone or in a group: a bad index stops the program, an
# uninitialised variable holds a pattern. -pthread changes macros: a precompiled header without it is refused.
FLAGS = ("-w", "-pthread", "-D_GLIBCXX_ASSERTIONS", "-ftrivial-auto-var-init=pattern")
SANITIZE = (
    *("-fsanitize=address,undefined", "-fno-sanitize-recover=undefined", "-fno-omit-frame-pointer", "-g1"),
    # no report of the sanitizers is about the precompiled header's own lines: one table of lines less in each program
    "-gno-column-info",
)
_REMEDY = {"g++": "apt-get install g++", "clang++": "apt-get install clang"}
_VERSIONED_CLANG = tuple(f"clang++-{n}" for n in range(25, 11, -1))


class ToolchainError(Exception):
    """A compiler is missing, or our own sources do not compile; the message holds the cause."""


@dataclass(frozen=True)
class Build:
    """How a unit is compiled. Raises ValueError for a standard, optimisation or compiler that is not offered."""

    std: str = "c++20"
    opt: str = "-O0"
    compiler: str = "g++"
    sanitize: bool = False

    def __post_init__(self) -> None:
        for name, allowed in (("std", STANDARDS), ("opt", OPTIMISATIONS), ("compiler", COMPILERS)):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} {getattr(self, name)!r}: use one of {', '.join(allowed)}")

    @property
    def name(self) -> str:
        """Name of a folder for what is built this way."""
        return f"{self.compiler}-{self.std}{self.opt}{'-sanitize' if self.sanitize else ''}".replace("+", "p")


@dataclass(frozen=True)
class Compiler:
    """One compiler of this machine: its path, its version's first line, and its way to say things."""

    name: str
    path: str
    version: str

    @property
    def is_clang(self) -> bool:
        """Whether it takes clang's spelling."""
        return self.name == "clang++"

    def flags(self, build: Build) -> list[str]:
        """Everything that has to be equal between a precompiled header and its users."""
        # clang knows c++23 under this name from the first version on that has parts of it
        std = "c++2b" if self.is_clang and build.std == "c++23" else build.std
        quiet = ("-fno-caret-diagnostics", "-fno-color-diagnostics") if self.is_clang else _GXX_QUIET
        return [f"-std={std}", build.opt, *FLAGS, *quiet, *(SANITIZE if build.sanitize else ())]

    def precompile(self, header: str) -> list[str]:
        """Arguments that make `precompiled(header)` of a header file."""
        # pending templates are instantiated once here, and not in every unit; dates of files are no reason to refuse
        extra = ("-fpch-instantiate-templates", "-Xclang", "-fno-pch-timestamp") if self.is_clang else ()
        return ["-x", "c++-header", *extra, header]

    def precompiled(self, header: str) -> str:
        """File name of a precompiled header."""
        return f"{header}.pch" if self.is_clang else f"{header}.gch"

    def use(self, folder: str, header: str) -> list[str]:
        """Arguments that use the precompiled header in a folder, and fail where it cannot be used.

        g++ says nothing when it drops one and reads the header itself: the header must not be in that folder.
        """
        path = f"{folder}/{header}"
        return ["-include-pch", self.precompiled(path)] if self.is_clang else ["-include", path]

    def missed(self, stderr: str) -> bool:
        """Whether a failed compilation ended because the precompiled header could not be used."""
        return bool((_CLANG_MISS if self.is_clang else _GXX_MISS).search(stderr))


_GXX_QUIET = ("-fno-diagnostics-show-caret", "-fdiagnostics-color=never")
_GXX_MISS = re.compile(r"^<command-line>: fatal error: /box/(?:pch|wide)/\w+\.hpp: No such file", re.MULTILINE)
_CLANG_MISS = re.compile(r"^(?:fatal )?error: [^\n]*(?:PCH|precompiled|AST) ", re.MULTILINE)


@functools.cache
def find(name: str) -> Compiler:
    """The compiler of that name on this machine.

    Raises
    ------
    ToolchainError
        It is not installed; the message says what to type.
    """
    names: Sequence[str] = ("clang++", *_VERSIONED_CLANG) if name == "clang++" else (name,)
    path = next((found for n in names if (found := shutil.which(n))), None)
    if path is None:
        raise ToolchainError(f"{name} is not installed; on Debian: {_REMEDY[name]}")
    run = subprocess.run([path, "--version"], capture_output=True, text=True, check=True)
    return Compiler(name, path, run.stdout.splitlines()[0])


def installed() -> list[Compiler]:
    """The offered compilers that this machine has."""
    found = []
    for name in COMPILERS:
        try:
            found.append(find(name))
        except ToolchainError:  # not installed, which is what is asked
            continue
    return found
