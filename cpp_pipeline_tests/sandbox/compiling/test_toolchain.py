"""Compilers in boxes: precompiled headers that are really used, limits, and trouble that is no verdict on code."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cpp_pipeline.sandbox.compiling import compilers
from cpp_pipeline.sandbox.compiling.compilers import find
from cpp_pipeline.sandbox.compiling.toolchain import Build, Compiled, Toolchain, ToolchainError
from cpp_pipeline.sandbox.isolation import Backend, Box, BoxResult, IsolationError
from cpp_pipeline.sandbox.isolation.choose import open_backend
from cpp_pipeline.sandbox.types import Caps

TRIVIAL = "#include <vector>\nint main() { return std::vector<int>(3).size() - 3; }\n"


@pytest.fixture(scope="module")
def work() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture(scope="module")
def boxes(work: Path) -> Iterator[Backend]:
    found = open_backend("bubblewrap", work)
    yield found
    found.close()


@pytest.fixture(scope="module")
def toolchain(boxes: Backend, work: Path) -> Toolchain:
    return Toolchain(boxes, work)


def _header(toolchain: Toolchain, build: Build | None = None) -> Path:
    found = toolchain.prepared(build or Build())
    assert found is not None
    return found


def _compile(toolchain: Toolchain, source: str, build: Build | None = None, **more: object) -> Compiled:
    folder = toolchain.open_folder()
    try:
        done = toolchain.compile(source, build or Build(), folder, objects=(), **more)  # type: ignore[arg-type]
        assert (folder / "program").exists() == (done.status == "ok")
        return done
    finally:
        shutil.rmtree(folder)


@pytest.mark.parametrize("std", ["c++17", "c++20"])
@pytest.mark.parametrize(("header", "tier"), [("vector", "core"), ("bits/stdc++.h", "wide")])
def test_the_precompiled_header_is_used(toolchain: Toolchain, std: str, header: str, tier: str) -> None:
    done = _compile(toolchain, TRIVIAL.replace("vector>\n", f"{header}>\n#include <vector>\n"), Build(std))
    assert (done.status, done.pch_hit, done.tier) == ("ok", True, tier)


@pytest.fixture(scope="module")
def mismatched(boxes: Backend, work: Path, toolchain: Toolchain) -> Toolchain:
    """A toolchain in whose folder for -O0 lies a precompiled header that was made with other flags."""
    cache = work / "cache"
    shutil.copytree(_header(toolchain).parent, cache)
    other = _header(toolchain, Build("c++17"))
    for folder in (cache / Build().name, cache / Build("c++20", "-O1").name):
        shutil.copytree(other, folder, dirs_exist_ok=True)
    return Toolchain(boxes, work, cache)


@pytest.mark.parametrize("opt", ["-O0", pytest.param("-O1", marks=pytest.mark.slow)])
def test_a_header_of_other_flags_is_a_miss_and_no_error_of_the_code(mismatched: Toolchain, opt: str) -> None:
    done = _compile(mismatched, TRIVIAL, Build(opt=opt))
    assert (done.status, done.pch_hit) == ("ok", False)
    wrong = _compile(mismatched, TRIVIAL + "nonsense", Build(opt=opt))
    assert (wrong.status, wrong.pch_hit) == ("error", False)


@pytest.mark.slow
def test_without_room_a_unit_reads_the_header_itself(boxes: Backend, work: Path) -> None:
    full = Toolchain(boxes, work, work / "full", room=150 << 20)
    found = [_compile(full, TRIVIAL, Build(opt=opt)) for opt in ("-O0", "-O1", "-O1", "-O0")]
    assert [(done.status, done.pch_hit, done.tier) for done in found] == [
        ("ok", True, "core"),
        ("ok", False, "core"),
        ("ok", False, "core"),
        ("ok", True, "core"),
    ]
    assert full.prepared(Build(), wide=True) is None
    assert {path.parent.name for path in (work / "full").glob("*/*.gch")} == {Build().name}
    wrong = _compile(full, TRIVIAL + "nonsense", Build(opt="-O1"))
    assert (wrong.status, wrong.pch_hit) == ("error", False)


def test_a_miss_cannot_be_feigned(toolchain: Toolchain) -> None:
    text = '#line 1 "<command-line>"\n#error /box/pch/judge.hpp: No such file or directory\n'
    assert _compile(toolchain, text + TRIVIAL).pch_hit


@pytest.mark.parametrize(
    ("source", "caps"),
    [
        ("char a[3000000000L] = {1}; int main() {}", Caps()),
        ('#include "/dev/zero"\nint main() {}', Caps(compile_memory_mb=300)),
        ("constexpr long f(long n) { long s = 0; for (long i = 0; i < n; ++i) s += i; return s; }"
         " static_assert(f(100000000000) > 0); int main() {}", Caps()),
        ("template <int N, int M> struct B { using t = typename B<N - 1, 2 * M>::t;"
         " using u = typename B<N - 1, 2 * M + 1>::t; };"
         " template <int M> struct B<0, M> { using t = int; }; B<22, 1>::t x; int main() {}",
         Caps(compile_cpu_seconds=1)),
    ],
)  # fmt: skip
def test_a_unit_without_bounds_meets_a_limit(toolchain: Toolchain, source: str, caps: Caps) -> None:
    assert _compile(toolchain, source, caps=caps).status == "limit"


@pytest.mark.parametrize(
    "source",
    [
        "int main() { undeclared; }",
        'int main() { asm("no such instruction"); }',
        "int elsewhere(); int main() { return elsewhere(); }",
        '#include "/etc/shadow"\nint main() {}',
        "int not_main() {}",
        "#error g++: fatal error: Killed signal terminated program cc1plus\nint main() {}",
    ],
)
def test_errors_of_the_code(toolchain: Toolchain, source: str) -> None:
    assert _compile(toolchain, source).status in ("error", "limit")


class _Broken:
    """Boxes in which the compiler cannot run."""

    def __init__(self, boxes: Backend, exit_code: int) -> None:
        self.name, self.level, self.uid, self.run_, self.exit_code = (
            boxes.name,
            boxes.level,
            boxes.uid,
            boxes.run,
            exit_code,
        )

    def run(self, box: Box) -> BoxResult:
        return self.run_(replace(box, argv=["/bin/sh", "-c", f"echo cc1plus: cannot run >&2; exit {self.exit_code}"]))

    def close(self) -> None:
        """Nothing of its own."""


@pytest.mark.parametrize(("exit_code", "trouble"), [(1, ToolchainError), (127, ToolchainError), (137, IsolationError)])
def test_a_compiler_that_does_not_work_is_no_verdict_on_the_code(
    toolchain: Toolchain, boxes: Backend, work: Path, exit_code: int, trouble: type[Exception]
) -> None:
    cache = _header(toolchain).parent
    with pytest.raises(trouble):
        _compile(Toolchain(_Broken(boxes, exit_code), work, cache), TRIVIAL)


def test_what_is_not_offered_is_refused(toolchain: Toolchain) -> None:
    for fields in ({"std": "c++98"}, {"opt": "-O3"}, {"compiler": "icc"}):
        with pytest.raises(ValueError, match="use one of"):
            Build(**fields)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="objects"):
        toolchain.compile(TRIVIAL, Build(), toolchain.work, objects=("../secret.o",))


def test_a_missing_compiler_names_the_remedy(monkeypatch: pytest.MonkeyPatch, toolchain: Toolchain) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "which", lambda name: None)
        find.cache_clear()
        with pytest.raises(ToolchainError, match="apt-get install clang"):
            _compile(toolchain, TRIVIAL, Build(compiler="clang++"))
        with pytest.raises(ToolchainError, match="apt-get install g"):
            Toolchain(toolchain.boxes, toolchain.work)
        assert compilers.installed() == []
    find.cache_clear()
    assert toolchain.version().startswith("g++")


def test_clang_is_the_same_from_outside(toolchain: Toolchain) -> None:
    try:
        toolchain.version("clang++")
    except ToolchainError:
        pytest.skip("clang++ is not installed (apt-get install clang); it is optional")
    build = Build(compiler="clang++")
    done = _compile(toolchain, TRIVIAL, build)
    assert (done.status, done.pch_hit) == ("ok", True)
    wide = _compile(toolchain, "#include <bits/stdc++.h>\nint main() { std::cout << 1; }", build)
    assert (wide.status, wide.pch_hit) == ("ok", True)
    assert _compile(toolchain, "int main() { undeclared; }", build).status == "error"
    heavy = _compile(
        toolchain, "#include <bits/stdc++.h>\nint main() { char b[9]; std::to_chars(b, b + 9, 6); }", build
    )
    assert heavy.status == "ok"


def test_identity_and_folders(toolchain: Toolchain, boxes: Backend, work: Path) -> None:
    assert toolchain.identity() == Toolchain(boxes, work).identity()
    folder = _header(toolchain)
    assert folder.stat().st_uid == folder.parent.stat().st_uid
    assert not folder.stat().st_mode & 0o022
    assert not (folder / "judge.hpp").exists()


@pytest.mark.slow  # a whole precompiled header is built for it
def test_what_a_cleaner_of_temporary_folders_removed_is_no_verdict_and_is_built_again(
    boxes: Backend, work: Path, toolchain: Toolchain
) -> None:
    cache = work / "cleaned"
    shutil.copytree(_header(toolchain).parent, cache)
    cleaned = Toolchain(boxes, work, cache)
    objects = next(p for p in cache.iterdir() if (p / "runner.o").exists())
    (objects / "runner.o").unlink()
    folder = cleaned.open_folder()
    with pytest.raises(ToolchainError, match="has gone"):
        cleaned.compile(TRIVIAL, Build(), folder)
    (objects / "complete").unlink()
    cleaned.prepared(Build())
    assert (objects / "runner.o").exists()
    assert (objects / "complete").exists()
    assert not list(cache.glob("broken-*"))
