"""The trusted launcher (`native/jail.c`) and what every box is started with.

Belongs here: compiling our own small programs for the host, limits of each process as the launcher takes them, the
environment of a box, and removing what a box wrote.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from cpp_pipeline.sandbox.isolation.box import IsolationError, Limits
from cpp_pipeline.sandbox.kept import kept_folder

NOBODY = 65534
_FLAGS = ("-O1", "-std=gnu11")
NATIVE = Path(__file__).resolve().parents[1] / "native"
ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "LC_ALL": "C.UTF-8",
    # fresh and freed heap memory holds a pattern, so that reading it is never right by chance
    "MALLOC_PERTURB_": "165",
}
# what makes a root: folders of the host, or links there where /usr holds everything
ROOT_LINKS = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")


def build(source: str, folder: Path) -> Path:
    """One of our own C files of `native/` as a program in `folder`, by the compiler of the host.

    What the same compiler has made of the same source before is copied, so that services start sooner.

    Raises
    ------
    IsolationError
        There is no C compiler, or it fails.
    """
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    if compiler is None:
        raise IsolationError("a C compiler is needed to build the launcher of boxes; on Debian: apt-get install gcc")
    program = folder / Path(source).stem
    kept = kept_folder("programs", _identity(compiler, source), folder / "programs") / program.name
    if kept.is_file():
        return Path(shutil.copy(kept, program))
    _compile(compiler, source, program)
    handle, whole = tempfile.mkstemp(dir=kept.parent)  # another service that starts sees all of it or nothing
    os.close(handle)
    shutil.copy(program, whole)
    os.replace(whole, kept)
    return program


def _identity(compiler: str, source: str) -> str:
    """Of what comes out: the source, how it is compiled, and the compiler, which is replaced when it is updated."""
    found = Path(compiler).resolve().stat()
    parts = (compiler, str(found.st_size), str(found.st_mtime_ns), *_FLAGS)
    return hashlib.sha256("\0".join(parts).encode() + (NATIVE / source).read_bytes()).hexdigest()[:16]


def _compile(compiler: str, source: str, program: Path) -> None:
    for linking in (["-static"], []):  # a static program starts faster, but not every system has a static libc
        order = [compiler, *_FLAGS, *linking, "-o", str(program), str(NATIVE / source)]
        done = subprocess.run(order, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            program.chmod(0o755)
            return
    raise IsolationError(f"{compiler} cannot build {source}: {done.stderr[-400:]}")


def resources(limits: Limits) -> dict[str, tuple[int, int]]:
    """Soft and hard limits of each process, by the kernel's names without RLIMIT_."""
    return {
        "cpu": (limits.cpu_seconds, limits.cpu_seconds + 1),  # the first can be caught, the second cannot
        **({"as": (limits.memory_bytes, limits.memory_bytes)} if limits.address_space else {}),
        "nproc": (limits.processes, limits.processes),
        "fsize": (limits.file_bytes, limits.file_bytes),
        "nofile": (limits.open_files, limits.open_files),
        "stack": 2 * (min(64 << 20, limits.memory_bytes // 4),),
        **dict.fromkeys(("core", "memlock", "msgqueue"), (0, 0)),
    }


def limit_options(limits: Limits, without: str = "") -> list[str]:
    """The launcher's options for `resources`, except one."""
    bounds = {name: bound for name, bound in resources(limits).items() if name != without}
    return [word for name, (soft, hard) in bounds.items() for word in ("-l", f"{name}={soft}:{hard}")]


def remove_tree(folder: Path) -> None:
    """Remove what a box may have written to; no tree is too deep for rm, as it is for `shutil.rmtree`."""
    try:
        folder.rmdir()
    except OSError:
        subprocess.run(["/bin/rm", "-rf", "--", folder], check=True)
