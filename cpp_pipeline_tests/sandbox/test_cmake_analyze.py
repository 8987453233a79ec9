"""CMake judging and the analyser."""

from __future__ import annotations

import pytest

from cpp_pipeline.sandbox.client import SandboxClient, SandboxUnavailable
from cpp_pipeline.sandbox.cmake_lint import commands, lint
from cpp_pipeline.sandbox.types import CMakeJob

TOP = "cmake_minimum_required(VERSION 3.20)\nproject(demo CXX)\n"
MAIN = {"path": "src/main.cpp", "content": "int twice(int);\nint main() { return twice(0); }\n"}
UTIL = {"path": "src/util.cpp", "content": "int twice(int a) { return 2 * a; }\n"}
FMT = {"package": "fmt", "target": "fmt::fmt"}


def test_project_is_configured_built_and_its_targets_are_listed(client: SandboxClient) -> None:
    text = (
        f"{TOP}add_library(util STATIC src/util.cpp)\nadd_library(headers INTERFACE)\n"
        "add_executable(app src/main.cpp)\ntarget_link_libraries(app PRIVATE util headers)\n"
        "add_custom_target(note)\n"
    )
    result = client.cmake(CMakeJob("a", text, [MAIN, UTIL], build=True))
    assert (result.stage, result.lint_ok, result.configure_ok, result.build_ok, result.error) == (
        *("build", True, True, True, None),
    )
    assert result.targets == ["executable:app", "interface_library:headers", "static_library:util"]


def test_packages_of_the_job_are_found_and_others_are_not(client: SandboxClient) -> None:
    text = (
        f"{TOP}find_package(fmt 9 REQUIRED)\nadd_executable(app src/main.cpp)\n"
        "target_link_libraries(app PRIVATE fmt::fmt)\n"
    )
    found = client.cmake(CMakeJob("a", text, [MAIN], [FMT]))
    assert (found.configure_ok, found.build_ok, found.targets) == (True, None, ["executable:app"])
    missing = client.cmake(CMakeJob("a", text, [MAIN]))
    assert (missing.stage, missing.configure_ok, missing.targets) == ("configure", False, [])
    assert "fmt" in missing.message


def test_build_failure_is_told_apart_from_configure_failure(client: SandboxClient) -> None:
    result = client.cmake(CMakeJob("a", f"{TOP}add_executable(app src/main.cpp)\n", [MAIN], build=True))
    assert (result.stage, result.configure_ok, result.build_ok) == ("build", True, False)
    assert result.targets == ["executable:app"]


def test_lint_stops_a_job_before_cmake_runs(client: SandboxClient) -> None:
    result = client.cmake(CMakeJob("a", f"{TOP}execute_process(COMMAND true)\n", []))
    assert (result.stage, result.lint_ok, result.configure_ok) == ("lint", False, None)
    nested = CMakeJob("a", f"{TOP}add_subdirectory(sub)\n", [{"path": "sub/CMakeLists.txt", "content": "try_run(a b)"}])
    assert client.cmake(nested).lint_ok is False


def test_path_outside_the_project_is_refused(client: SandboxClient) -> None:
    with pytest.raises(SandboxUnavailable, match="422"):
        client.cmake(CMakeJob("a", TOP, [{"path": "../x", "content": ""}]))


@pytest.mark.parametrize(
    "line",
    [
        "Execute_Process(COMMAND ls)",
        "try_run(a b c d)",
        "include(ExternalProject)",
        "ExternalProject_Add(x URL http://example.org)",
        'file(WRITE "x" "y")',
        "file(DOWNLOAD http://example.org x)",
        "file(${sub} x)",
        'cmake_language(EVAL CODE "message(x)")',
        "FetchContent_Populate(x)",
        "set(CMAKE_CXX_COMPILER /usr/bin/id)",
        "set(CMAKE_PROJECT_INCLUDE x)",
        "function(add_executable)\nendfunction()",
        "add_custom_command(OUTPUT a COMMAND touch a)",
        'install(CODE "message(x)")',
        "configure_file(a ../b)",
        "message(",
        'message(STATUS "a)',
        "1 + 1",
    ],
)
def test_lint_refuses(line: str) -> None:
    reasons = lint(f"# first\n{line}\n")
    assert len(reasons) >= 1
    assert "line 2" in reasons[0]


def test_lint_reads_comments_brackets_and_quotes() -> None:
    text = '#[[ execute_process(COMMAND a) ]]\n# try_run(a)\nset(x "execute_process(COMMAND a)" [=[ try_run( ]=])\n'
    assert lint(text) == []
    assert [(c.name, c.line) for c in commands(text + "if((A) AND B)\nendif()\nfile(GLOB s *.cpp)\n")] == [
        *(("set", 3), ("if", 4), ("endif", 5), ("file", 6)),
    ]


def test_analysis_finds_bugs_performance_and_style(client: SandboxClient) -> None:
    code = (
        "using namespace std;\nint f(vector<int> v) {\n  int total;\n  int unused = 1;\n"
        "  for (auto x : v) total += x;\n  return total + (int)v.size();\n}\n"
    )
    bugs = client.analyze(code, "bugs")
    assert {f.line for f in bugs if "unused" in f.message} == {4}
    assert any("uninitialized" in f.message for f in bugs)
    assert [f.line for f in client.analyze(code, "performance")] == [2, 5]
    assert [f.line for f in client.analyze(code, "style")] == [1, 6]
    assert client.analyze("int f() { return 1; }\n", "bugs") == []
    assert client.analyze("int f() { return x; }\n", "bugs")[0].message.startswith("error:")
