"""Judging a CMakeLists.txt: lint, a real configure in a box, and the targets that CMake reports.

Belongs here: one job from text to targets. Held: nothing of the host is read or written, limits and deadline apply,
programs and downloads are refused by the lint. Not held: a file that passes the lint and still writes into its own
build folder could forge CMake's reply; packages are stubs, so a wrong use of a package's contents is not seen, and a
build of such a project fails. Sources and link dependencies of a target are not compared.
"""

from __future__ import annotations

import io
import json
import re
import shutil
import tarfile
import tempfile
from pathlib import Path, PurePosixPath
from typing import Any

from cpp_pipeline.sandbox.cmake_lint import lint
from cpp_pipeline.sandbox.compiling.toolchain import NATIVE
from cpp_pipeline.sandbox.isolation import Backend, Box, IsolationError, Limits
from cpp_pipeline.sandbox.types import CMakeJob, CMakeResult

_LIMITS = Limits(
    wall_seconds=90,
    cpu_seconds=40,
    memory_bytes=2 << 30,
    file_bytes=64 << 20,
    open_files=256,
    output_bytes=4 << 20,
    workspace_bytes=128 << 20,
)
_PACKAGE = re.compile(r"[A-Za-z0-9_.+-]{1,100}")
_TARGET = re.compile(r"[A-Za-z0-9_.+:-]{1,200}")
_NOT_STUBBED = {"Threads", "PkgConfig", "Doxygen", "Python", "Python3", "SWIG"}
_MAX_FILES, _MAX_FILE_CHARS, _MESSAGE_KEPT = 200, 200_000, 2000
_API, _INTERFACES = ".cmake/api/v1", "reply-interfaces"
# exit codes of our own, away from those of cmake
_CONFIGURE_FAILED, _BUILD_FAILED = 71, 72
_SCRIPT = f"""set -u
mkdir -p /tmp/b/.cmake/api/v1/query && : > /tmp/b/.cmake/api/v1/query/codemodel-v2
generator="Unix Makefiles"; [ -x /usr/bin/ninja ] && generator=Ninja
cmake --no-warn-unused-cli -S /box/src -B /tmp/b -G "$generator" -DSTUB_DIR=/box/stubs -DCMAKE_BUILD_TYPE=Debug \\
  -DCMAKE_PROJECT_TOP_LEVEL_INCLUDES=/box/native/provider.cmake -DFETCHCONTENT_FULLY_DISCONNECTED=ON \\
  >&2 </dev/null || exit {_CONFIGURE_FAILED}
code=0
if [ "$1" = build ]; then cmake --build /tmp/b --parallel 1 >&2 </dev/null || code={_BUILD_FAILED}; fi
: >> /tmp/b/{_API}/{_INTERFACES}
tar -cf - -C /tmp/b {_API} || exit {_CONFIGURE_FAILED}
exit $code
"""


def check(job: CMakeJob) -> None:
    """Raise ValueError when the job's files or packages cannot be laid out."""
    if len(job.files) > _MAX_FILES or len(job.packages) > _MAX_FILES:
        raise ValueError(f"more than {_MAX_FILES} files or packages")
    for file in job.files:
        path = PurePosixPath(file["path"])
        if path.is_absolute() or ".." in path.parts or not path.parts or "\0" in file["path"]:
            raise ValueError(f"path {file['path']!r} is not inside the project")
        if len(file["content"]) > _MAX_FILE_CHARS:
            raise ValueError(f"{file['path']}: more than {_MAX_FILE_CHARS} characters")
    for row in job.packages:
        if not _PACKAGE.fullmatch(row["package"]) or not _TARGET.fullmatch(row["target"]):
            raise ValueError(f"package {row['package']!r} with target {row['target']!r}: unusable name")


def judge_cmake(boxes: Backend, work: Path, job: CMakeJob) -> CMakeResult:
    """Lint, configure and, when asked, build.

    Raises
    ------
    ValueError
        The job cannot be laid out.
    IsolationError
        No box started.
    """
    check(job)
    texts = {"CMakeLists.txt": job.cmake}
    texts |= {f["path"]: f["content"] for f in job.files if _is_cmake(f["path"]) and f["path"] != "CMakeLists.txt"}
    refusals = [f"{path} {reason}" for path, text in sorted(texts.items()) for reason in lint(text)]
    if refusals:
        return CMakeResult(job.id, "lint", False, None, None, [], "\n".join(refusals)[:_MESSAGE_KEPT])
    folder = Path(tempfile.mkdtemp(prefix="cmake-", dir=work))
    try:
        _lay_out(folder, job)
        readonly = [(str(folder / n), f"/box/{n}") for n in ("src", "stubs")] + [(str(NATIVE), "/box/native")]
        argv = ["/bin/sh", "-c", _SCRIPT, "sh", "build" if job.build else "configure"]
        result = boxes.run(Box(argv, _LIMITS, readonly=readonly))
        if result.killed and not result.out_of_memory:  # a project runs no program that could have done it
            raise IsolationError("cmake was killed from outside its box; is the machine out of memory?")
    finally:
        shutil.rmtree(folder)
    message = result.stderr.decode("utf-8", "replace")[-_MESSAGE_KEPT:]
    if result.timed_out or result.flooded:
        why = "time limit" if result.timed_out else "output limit"
        return CMakeResult(job.id, "configure", True, False, None, [], f"{why}\n{message}")
    try:
        targets = _targets(result.stdout) if result.exit_code in (0, _BUILD_FAILED) else None
    except (ValueError, KeyError, TypeError, tarfile.TarError) as error:
        targets, message = None, f"CMake's reply cannot be read: {error}\n{message}"
    if targets is None:
        return CMakeResult(job.id, "configure", True, False, None, [], message)
    if not job.build:
        return CMakeResult(job.id, "configure", True, True, None, targets, message)
    return CMakeResult(job.id, "build", True, True, result.exit_code == 0, targets, message)


def _is_cmake(path: str) -> bool:
    return path.endswith(".cmake") or PurePosixPath(path).name == "CMakeLists.txt"


def _lay_out(folder: Path, job: CMakeJob) -> None:
    folder.chmod(0o755)
    source, stubs = folder / "src", folder / "stubs"
    stubs.mkdir()
    files = {f["path"]: f["content"] for f in job.files} | {"CMakeLists.txt": job.cmake}
    for path, content in files.items():
        target = source / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content, encoding="utf-8", errors="surrogateescape")
    by_package: dict[str, list[str]] = {}
    for row in job.packages:
        by_package.setdefault(row["package"], []).append(row["target"])
    for package, targets in by_package.items():
        if package not in _NOT_STUBBED:
            (stubs / f"{package}.cmake").write_text(f'set(_stub_targets "{";".join(targets)}")\n')


def _targets(archive: bytes) -> list[str]:
    """`kind:name` of the project's own targets, sorted, from the File API's reply."""
    replies: dict[str, Any] = {}
    interfaces: list[str] = []
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:") as tar:
        for member in tar:
            data, name = tar.extractfile(member) if member.isreg() else None, PurePosixPath(member.name).name
            if data is not None and name == _INTERFACES:
                interfaces = data.read().decode("utf-8", "replace").split()
            elif data is not None and name.endswith(".json"):
                replies[name] = json.load(data)
    indexes = [n for n in replies if n.startswith("index-")]
    if len(indexes) != 1:
        raise ValueError(f"{len(indexes)} index files")
    model = replies[replies[indexes[0]]["reply"]["codemodel-v2"]["jsonFile"]]
    found = {f"interface_library:{name}" for name in interfaces}
    for row in model["configurations"][0]["targets"]:
        target = replies[row["jsonFile"]]
        if target["type"] != "UTILITY" and not target.get("imported", False):
            found.add(f"{target['type'].lower()}:{target['name']}")
    return sorted(found)
