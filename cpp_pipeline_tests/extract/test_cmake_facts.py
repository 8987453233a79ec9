"""What a CMakeLists.txt says."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cpp_pipeline.extract.cmake_facts import CMakeFacts, Target, facts, instruction, packages
from cpp_pipeline.schemas import TABLES
from cpp_pipeline_tests.extract.rows import clean_file

FULL = """cmake_minimum_required(VERSION 3.16)
project(Demo VERSION 1.0 LANGUAGES CXX) # a comment
set(CMAKE_CXX_STANDARD 20)
set(SRC "main.cpp" util.cpp)
find_package(fmt 9 REQUIRED)
if(WITH_BOOST)
  find_package(Boost COMPONENTS system)
endif()
add_library(core STATIC core.cpp core.h)
add_library(demo::core ALIAS core)
add_executable(${PROJECT_NAME}_app WIN32 ${SRC})
target_link_libraries(core PUBLIC fmt::fmt $<BUILD_INTERFACE:x> ${OPEN})
TARGET_LINK_LIBRARIES(Demo_app PRIVATE core Boost::system m)
add_test(NAME runs COMMAND Demo_app)
add_subdirectory(docs)
install(TARGETS core)
"""


def test_everything() -> None:
    found = facts(FULL)
    assert found == CMakeFacts(
        project="Demo",
        targets=(
            Target("library", "core", ("core.cpp", "core.h"), ("fmt::fmt",)),
            Target("executable", "Demo_app", ("main.cpp", "util.cpp"), ("core", "Boost::system", "m")),
        ),
        packages=("fmt", "Boost"),
        links=(("core", "fmt::fmt"), ("Demo_app", "core"), ("Demo_app", "Boost::system"), ("Demo_app", "m")),
        standard="20",
        tests=("runs",),
        installs=True,
        subdirectories=("docs",),
    )
    assert found.package_targets == (("Boost", "Boost::system"), ("fmt", "fmt::fmt"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", CMakeFacts()),
        ("add_executable(${UNKNOWN} a.cpp)", CMakeFacts()),
        ("add_executable(a [[b c.cpp]])", CMakeFacts(targets=(Target("executable", "a", ("b c.cpp",)),))),
        ('add_executable(a)\ntarget_sources(a PRIVATE "b.cpp")',
         CMakeFacts(targets=(Target("executable", "a", ("b.cpp",)),))),
        ("add_library(a INTERFACE)\ntarget_compile_features(a INTERFACE cxx_std_17)",
         CMakeFacts(targets=(Target("library", "a", ()),), standard="17")),
        ("set_target_properties(a PROPERTIES CXX_STANDARD 14)", CMakeFacts(standard="14")),
        ("# project(x)\n#[[ project(y) ]]", CMakeFacts()),
        ("add_library(x SHARED IMPORTED)", CMakeFacts()),
        ("{" * 5000, CMakeFacts(has_error=True)),
    ],
)  # fmt: skip
def test_cases(text: str, expected: CMakeFacts) -> None:
    assert facts(text) == expected


def test_unbalanced_text_has_an_error_and_is_still_read() -> None:
    found = facts("project(a)\nadd_executable(a a.cpp")
    assert found.has_error


def test_self_reference_does_not_explode() -> None:
    assert facts("set(A x;x)\n" + "set(A ${A} ${A})\n" * 60).targets == ()


@settings(max_examples=100, deadline=None)
@given(
    st.text(max_size=300)
    | st.lists(st.sampled_from(["project(", ")", "${A}", "set(A", '"', "[[", "if(", "\n", "#"])).map("".join)
)
def test_never_fails(text: str) -> None:
    found = facts(text)
    assert instruction(found, []).startswith("Write a CMakeLists.txt")


def test_instruction_in_words() -> None:
    assert instruction(facts(FULL), ["main.cpp"]) == (
        "Write a CMakeLists.txt for the C++ project `Demo`. It uses C++20. "
        "It builds a library `core` from `core.cpp` and `core.h`, linked with `fmt::fmt`. "
        "It builds an executable `Demo_app` from `main.cpp` and `util.cpp`, "
        "linked with `core`, `Boost::system` and `m`. "
        "It depends on the packages `fmt` and `Boost`. It adds the subdirectory `docs`. "
        "It registers the test `runs`. It installs its targets."
    )
    bare = facts("project(P)\nadd_executable(app ${FILES})")
    assert instruction(bare, ["b.cpp", "a.cpp"]).endswith("The sources are `a.cpp` and `b.cpp`.")


def test_packages_of_dumps() -> None:
    other = clean_file(
        "x/CMakeLists.txt", "find_package(ZLIB)\ntarget_link_libraries(a ZLIB::ZLIB other::x)", licence=None
    )
    files = [clean_file("CMakeLists.txt", FULL), other, clean_file("a.cpp", "find_package(no)")]
    found = packages(TABLES["clean_files"].frame(files))
    assert TABLES["cmake_packages"].conform(found).collect().rows() == [
        ("Boost", "Boost::system", "d:r:CMakeLists.txt", "MIT"),
        ("ZLIB", "ZLIB::ZLIB", "d:r:x/CMakeLists.txt", None),
        ("fmt", "fmt::fmt", "d:r:CMakeLists.txt", "MIT"),
    ]
