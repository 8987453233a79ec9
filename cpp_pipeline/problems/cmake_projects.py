"""Generated CMake projects: sources that compile, a request in words, and a CMakeLists.txt that is right.

Belongs here: what the projects look like, the split and the check of the references.
Does not belong here: judging a model's answer (`evaluation`).

A project is a core (what is built) with an extra (tests, threads, an option, or none). Held-out projects use names
that no training project uses; two combinations of core and extra occur only there.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from cpp_pipeline.problems.judging import SandboxTrouble
from cpp_pipeline.problems.rows import Row, short_hash
from cpp_pipeline.sandbox.types import CMakeJob

if TYPE_CHECKING:
    from cpp_pipeline.sandbox.client import SandboxClient

VERSION = "cmake-1"
CORES = ("executable", "static_library", "shared_library", "header_only", "two_libraries", "subfolders")
EXTRAS = ("plain", "tests", "threads", "option")
HELD_OUT = frozenset({"shared_library+tests", "header_only+option"})
"""combinations that only evaluation sees"""

REQUESTS_AT_ONCE = 4
_WORD_LIST = """
anchor apple arrow atlas badger basil beacon birch bison breeze bridge cedar cinder clover cobalt comet
coral crane crystal dagger delta dune eagle ember falcon fern fjord flint forge garnet glacier grove
harbor hazel heron indigo iris island jasper juniper kestrel lagoon lantern lark lemon lotus lynx maple
marble meadow mesa mint moss nectar nimbus oasis ocean olive onyx opal orbit orchid osprey otter pebble
pepper pine plaza prairie prism quartz quill raven reef ridge river robin saddle saffron sage sierra
silver sparrow spruce stone summit thistle timber topaz tulip tundra umber valley velvet violet walnut
willow zephyr zinc
"""
_EVAL_WORDS = 24
_MINIMUMS = ("3.16", "3.18", "3.20", "3.22")
_HEADER_ONLY_MINIMUMS = ("3.19", "3.20", "3.22")
"""CMake reports an interface library only when it has sources, which 3.19 introduced"""
_STANDARDS = ("17", "20")


@dataclass
class _Project:
    """A project being put together; `requests` are the sentences of the instruction in order."""

    name: str
    standard: str
    minimum: str
    files: list[dict[str, str]] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    targets: list[str] = field(default_factory=list)

    def file(self, path: str, content: str) -> None:
        self.files.append({"path": path, "content": content})

    def target(self, kind: str, name: str) -> None:
        self.targets.append(f"{kind}:{name}")


def generate(n_train: int, n_eval: int, seed: int) -> list[Row]:
    """Projects as rows of `cmake_problems` without `configure_ok`, training rows first.

    The held-out rows do not depend on `seed`; a smaller `n_eval` gives a prefix of a larger one.

    Raises
    ------
    ValueError
        When the word list does not give that many different projects.
    """
    words = _WORD_LIST.split()
    random.Random(f"{VERSION} words").shuffle(words)
    held_out, training = words[:_EVAL_WORDS], words[_EVAL_WORDS:]
    every = [f"{core}+{extra}" for core, extra in itertools.product(CORES, EXTRAS)]
    # Held-out combinations first, so that even a short evaluation has them.
    eval_keys = sorted(every, key=lambda key: (key not in HELD_OUT, short_hash(VERSION, key)))
    train_keys = [key for key in every if key not in HELD_OUT]
    return [
        *_rows("train", n_train, train_keys, training, random.Random(f"{VERSION} train {seed}")),
        *_rows("eval", n_eval, eval_keys, held_out, random.Random(f"{VERSION} eval")),
    ]


def _rows(split: str, count: int, keys: Sequence[str], words: Sequence[str], rng: random.Random) -> list[Row]:
    rows: dict[str, Row] = {}
    for key in itertools.islice(itertools.cycle(keys), count * 20):
        if len(rows) == count:
            break
        project = _project(key, words, rng)
        reference = "\n".join(project.commands) + "\n"
        identity = f"cmake/{short_hash(VERSION, reference)}"
        if identity in rows:
            continue
        rows[identity] = {
            "problem_id": identity,
            "split": split,
            "split_key": key,
            "instruction": " ".join(project.requests),
            "files": project.files,
            "reference": reference,
            "targets": sorted(project.targets),
        }
    if len(rows) < count:
        raise ValueError(f"{len(rows)} different {split} projects can be made; {count} were asked for")
    return list(rows.values())


def _project(key: str, words: Sequence[str], rng: random.Random) -> _Project:
    core, extra = key.split("+")
    name, *parts = rng.sample(list(words), 4)
    minimums = _HEADER_ONLY_MINIMUMS if core == "header_only" else _MINIMUMS
    project = _Project(name, rng.choice(_STANDARDS), rng.choice(minimums))
    openings = (
        f"Write a CMakeLists.txt for the C++{project.standard} project {name}, CMake {project.minimum} or newer.",
        f"The project {name} needs a CMakeLists.txt: C++{project.standard}, at least CMake {project.minimum}.",
    )
    project.requests.append(rng.choice(openings))
    project.commands += [
        f"cmake_minimum_required(VERSION {project.minimum}...3.31)",
        f"project({name} LANGUAGES CXX)",
        f"set(CMAKE_CXX_STANDARD {project.standard})",
    ]
    linked = _CORES[core](project, parts, rng)
    if extra == "tests":
        _add_tests(project, parts[0], linked)
    elif extra == "threads":
        _add_threads(project)
    elif extra == "option":
        _add_option(project)
    _main_source(project, parts[0] if linked else None, extra)
    return project


def _library(project: _Project, name: str, kind: str, folder: str, rng: random.Random, uses: str = "") -> None:
    """A library of one function `int <name>(int)`, its sources in `folder`, its header in include/<name>."""
    factor = rng.randint(2, 9)
    project.file(f"include/{name}/{name}.hpp", f"#pragma once\n\nint {name}(int value);\n")
    include = f"#include <{name}/{name}.hpp>\n" + (f"#include <{uses}/{uses}.hpp>\n" if uses else "")
    value = f"{uses}(value)" if uses else "value"
    source = f"{folder}/{name}.cpp"
    project.file(source, f"{include}\nint {name}(int value) {{\n    return {value} * {factor};\n}}\n")
    project.commands += [
        f"add_library({name} {kind} {source})",
        f"target_include_directories({name} PUBLIC include)",
    ]
    project.target(f"{kind.lower()}_library", name)
    project.requests.append(f"Build the {kind.lower()} library {name} from {source}, public headers in include.")


def _executable(project: _Project, sources: Sequence[str], library: str | None) -> None:
    name = f"{project.name}_app"
    project.commands.append(f"add_executable({name} {' '.join(sources)})")
    sentence = f"Build the executable {name} from {' and '.join(sources)}"
    if library:
        project.commands.append(f"target_link_libraries({name} PRIVATE {library})")
        sentence += f" and link it to {library}"
    project.requests.append(sentence + ".")
    project.target("executable", name)


def _core_executable(project: _Project, parts: Sequence[str], rng: random.Random) -> str | None:
    sources = ["main.cpp", *(f"{p}.cpp" for p in parts[: rng.randint(0, 2)])]
    for source in sources[1:]:
        word = source.removesuffix(".cpp")
        project.file(source, f"int {word}(int value) {{\n    return value + {rng.randint(1, 9)};\n}}\n")
    _executable(project, sources, None)
    return None


def _core_library(kind: str, project: _Project, parts: Sequence[str], rng: random.Random) -> str | None:
    _library(project, parts[0], kind, "src", rng)
    _executable(project, ["main.cpp"], parts[0])
    return parts[0]


def _core_header_only(project: _Project, parts: Sequence[str], rng: random.Random) -> str | None:
    name = parts[0]
    body = f"inline int {name}(int value) {{\n    return value - {rng.randint(1, 9)};\n}}\n"
    header = f"include/{name}/{name}.hpp"
    project.file(header, f"#pragma once\n\n{body}")
    project.commands += [
        f"add_library({name} INTERFACE {header})",
        f"target_include_directories({name} INTERFACE include)",
    ]
    project.requests.append(f"Add the header-only library {name} with the header {header}, public headers in include.")
    project.target("interface_library", name)
    _executable(project, ["main.cpp"], name)
    return name


def _core_two_libraries(project: _Project, parts: Sequence[str], rng: random.Random) -> str | None:
    upper, lower = parts[0], parts[1]
    _library(project, lower, "STATIC", "src", rng)
    _library(project, upper, "STATIC", "src", rng, uses=lower)
    project.commands.append(f"target_link_libraries({upper} PUBLIC {lower})")
    project.requests.append(f"{upper} uses {lower}.")
    _executable(project, ["main.cpp"], upper)
    return upper


def _core_subfolders(project: _Project, parts: Sequence[str], rng: random.Random) -> str | None:
    _library(project, parts[0], rng.choice(("STATIC", "SHARED")), f"libs/{parts[1]}", rng)
    _executable(project, ["apps/main.cpp"], parts[0])
    return parts[0]


_CORES: dict[str, Callable[[_Project, Sequence[str], random.Random], str | None]] = {
    "executable": _core_executable,
    "static_library": partial(_core_library, "STATIC"),
    "shared_library": partial(_core_library, "SHARED"),
    "header_only": _core_header_only,
    "two_libraries": _core_two_libraries,
    "subfolders": _core_subfolders,
}


def _add_tests(project: _Project, part: str, library: str | None) -> None:
    name = f"{part}_test"
    source = f"tests/{name}.cpp"
    if library:
        body = f"    return {library}(1) == {library}(1) ? 0 : 1;\n"
        check = f"#include <{library}/{library}.hpp>\n\nint main() {{\n{body}}}\n"
    else:
        check = "int main() {\n    return 0;\n}\n"
    project.file(source, check)
    project.commands += ["enable_testing()", f"add_executable({name} {source})"]
    if library:
        project.commands.append(f"target_link_libraries({name} PRIVATE {library})")
    project.commands.append(f"add_test(NAME {name} COMMAND {name})")
    linked = f", linked to {library}" if library else ""
    project.requests.append(f"Add the test {name}, an executable from {source}{linked}.")
    project.target("executable", name)


def _add_threads(project: _Project) -> None:
    app = f"{project.name}_app"
    project.commands += [
        "find_package(Threads REQUIRED)",
        f"target_link_libraries({app} PRIVATE Threads::Threads)",
    ]
    project.requests.append(f"{app} uses threads.")


def _add_option(project: _Project) -> None:
    app, name = f"{project.name}_app", f"{project.name.upper()}_VERBOSE"
    project.commands += [
        f'option({name} "More output" ON)',
        f"if({name})",
        f"  target_compile_definitions({app} PRIVATE {name})",
        "endif()",
    ]
    project.requests.append(f"The option {name}, on by default, defines {name} for {app}.")


def _main_source(project: _Project, library: str | None, extra: str) -> None:
    """The main file, which uses what the project promises, so that a forgotten link shows in a build."""
    path = next(p for c in project.commands if c.startswith("add_executable") for p in c[:-1].split() if "main" in p)
    headers = [f"#include <{library}/{library}.hpp>"] if library else []
    lines = [f"    int result = {library}(3);" if library else "    int result = 3;"]
    if not library:
        others = [f["path"].removesuffix(".cpp") for f in project.files if "/" not in f["path"]]
        headers += [f"int {word}(int value);" for word in others]
        lines += [f"    result = {word}(result);" for word in others]
    if extra == "threads":
        headers.insert(0, "#include <thread>")
        lines += ["    std::thread worker([&result] { ++result; });", "    worker.join();"]
    if extra == "option":
        lines += [f"#ifdef {project.name.upper()}_VERBOSE", "    result += 100;", "#endif"]
    top = "\n".join(headers) + "\n\n" if headers else ""
    body = "\n".join([*lines, "    return result == 0 ? 1 : 0;"])
    project.file(path, f"{top}int main() {{\n{body}\n}}\n")


def verify_projects(rows: Sequence[Row], client: SandboxClient, build: bool = False) -> list[Row]:
    """The rows with `configure_ok`: CMake configured the reference and reported exactly the row's targets.

    With `build` the project must build as well, at about a CPU second a row.

    Raises
    ------
    SandboxTrouble
        When the sandbox could not judge.
    """

    def judge(row: Row) -> Row:
        result = client.cmake(CMakeJob(row["problem_id"], row["reference"], row["files"], [], build))
        if result.error is not None:
            raise SandboxTrouble(f"{row['problem_id']}: {result.error}; run `cpp-pipeline sandbox check`")
        built = not build or bool(result.build_ok)
        right = bool(result.configure_ok) and built and sorted(result.targets) == row["targets"]
        return {**row, "configure_ok": right}

    # Threads only wait for the controller, which has its own workers.
    with ThreadPoolExecutor(REQUESTS_AT_ONCE) as pool:
        return list(pool.map(judge, rows))
