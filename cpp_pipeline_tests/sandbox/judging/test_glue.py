"""Values through real calls: JSON to the function and back, by compiled glue."""

from __future__ import annotations

import random
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cpp_pipeline.sandbox.cpp.prototype import Prototype, parse_prototype
from cpp_pipeline.sandbox.judging.glue import call_glue, codecs, declared
from cpp_pipeline.sandbox.judging.values import decode_reply, encode_arguments, normalise
from cpp_pipeline_tests.sandbox.judging.frames import PREAMBLE, TYPES, value_of

NATIVE = Path(__file__).parents[3] / "cpp_pipeline" / "sandbox" / "native"
# a name, a prototype and its body
FUNCTIONS = [
    ("void sort_in_place(std::vector<int>& v, int times)", "while (times-- > 0) std::sort(v.begin(), v.end());"),
    ("int two_ways(std::string& a, const std::string& b, std::list<Point>& p)", "a += b; p.pop_front(); return 7;"),
    (
        "std::size_t views(std::string_view a, const std::string_view& b, const char* c)",
        "return a.size() + b.size() * 10 + std::strlen(c) * 100;",
    ),
    ("std::string moved(std::string&& a, std::vector<bool> &&)", "return std::move(a) + '!';"),
    ("Path struct_of_structs(const Path& p, Point q)", "Path r = p; r.points.push_back(q); r.start.reset(); return r;"),
    ("const std::string& by_reference(const std::string& a)", "return a;"),
    ("unsigned char wraps(std::uint8_t a)", "return a + 1;"),
    ("bool unset(unsigned char a)", "bool b; std::memcpy(&b, &a, 1); return b;"),
    (
        "std::multimap<int, std::string> swapped(std::multimap<std::string, int> m)",
        "std::multimap<int, std::string> r; for (auto& [k, v] : m) r.emplace(v, k); return r;",
    ),
    *((f"{kind} same_{i}(const {kind}& x)", "return x;") for i, kind in enumerate(TYPES)),
]
MAIN = """
#include <cstdio>
int main() {
    std::uint32_t head[2];
    while (std::fread(head, sizeof head, 1, stdin) == 1) {
        std::string in(head[1], '\\0');
        if (std::fread(in.data(), 1, in.size(), stdin) != in.size()) return 1;
        const auto* begin = reinterpret_cast<const unsigned char*>(in.data());
        judge_rpc::Reader reader{begin, begin + in.size()};
        judge_rpc::Writer writer;
        calls[head[0]](reader, writer);
        const auto size = static_cast<std::uint32_t>(writer.out.size());
        std::fwrite(&size, sizeof size, 1, stdout);
        std::fwrite(writer.out.data(), 1, size, stdout);
    }
}
"""
Call = Callable[[str, list[list[Any]]], list[tuple[Any, list[Any]]]]


@pytest.fixture(scope="module")
def prototypes() -> dict[str, Prototype]:
    found = [parse_prototype(text, PREAMBLE) for text, _ in FUNCTIONS]
    return {p.name: p for p in found}


@pytest.fixture(scope="module")
def call(prototypes: dict[str, Prototype], tmp_path_factory: pytest.TempPathFactory) -> Call:
    """Calls one of the functions with each of the argument lists."""
    text = [PREAMBLE, '#include "judge.hpp"\n']
    text += dict.fromkeys(codecs(prototypes[name]) for name in ("struct_of_structs",))
    text += [f"{written} {{ {body} }}\n" for written, body in FUNCTIONS]
    text += [call_glue(at, "::", prototype) for at, prototype in enumerate(prototypes.values())]
    table = ", ".join(f"judge_call_{at}" for at in range(len(prototypes)))
    folder = tmp_path_factory.mktemp("glue")
    (folder / "unit.cpp").write_text(f"{''.join(text)}constexpr judge_rpc::Entry calls[] = {{{table}}};\n{MAIN}")
    order = ["g++", "-std=c++17", "-DJUDGE_INSTANTIATE", f"-I{NATIVE}", "unit.cpp", "-o", "unit"]
    subprocess.run(order, cwd=folder, check=True)

    def ask(name: str, arguments: list[list[Any]]) -> list[tuple[Any, list[Any]]]:
        at, prototype = list(prototypes).index(name), prototypes[name]
        frames = [encode_arguments(prototype, {"args": args}) for args in arguments]
        sent = b"".join(struct.pack("<II", at, len(f)) + f for f in frames)
        out = subprocess.run([folder / "unit"], input=sent, capture_output=True, check=True).stdout
        replies, begin = [], 0
        for _ in frames:
            size = struct.unpack_from("<I", out, begin)[0]
            begin += 4 + size
            replies.append(decode_reply(prototype, out[begin - size : begin]))
        return replies

    return ask


def test_every_type_comes_back_as_it_was_sent(prototypes: dict[str, Prototype], call: Call) -> None:
    rng = random.Random(4)
    for i in range(len(TYPES)):
        kind = prototypes[f"same_{i}"].return_type
        values = [value_of(kind, rng) for _ in range(20)]
        replies = call(f"same_{i}", [[v] for v in values])
        assert [repr(result) for result, _ in replies] == [repr(normalise(kind, v)) for v in values], str(kind)


def test_reference_parameters_are_copied_back_in_order(call: Call) -> None:
    assert call("sort_in_place", [[[3, 1, 2], 1], [[2, 1], 0]]) == [(None, [[1, 2, 3]]), (None, [[2, 1]])]
    points = [{"x": 1.5, "y": -1}, {"x": 2.5, "y": 3}]
    assert call("two_ways", [["ab", "c", points]]) == [(7, ["abc", points[1:]])]


def test_views_and_texts_and_rvalues_are_passed(call: Call) -> None:
    assert call("views", [["a\0b", "bb", "c"]]) == [(123, [])]
    assert call("moved", [["ab", [True]]]) == [("ab!", [])]
    assert call("by_reference", [["é\udcff"]]) == [("é\udcff", [])]


def test_structs_hold_structs(call: Call) -> None:
    point = {"x": "nan", "y": 1}
    path = {"name": "p", "points": [], "end": {"x": 0, "y": 2}, "start": {"x": 0, "y": 2}}
    [(found, _)] = call("struct_of_structs", [[path, point]])
    assert found["points"][0]["x"] != found["points"][0]["x"]
    assert (found["name"], found["end"], found["start"]) == ("p", {"x": 0.0, "y": 2}, None)


def test_replies_are_canonical(call: Call) -> None:
    assert call("swapped", [[[["b", 1], ["a", 1], ["c", 0]]]]) == [([[0, "c"], [1, "a"], [1, "b"]], [])]
    assert call("wraps", [[255]]) == [(0, [])]
    assert call("unset", [[0], [1], [254]]) == [(False, []), (True, []), (True, [])]


def test_a_stub_takes_what_the_tests_give_the_function(prototypes: dict[str, Prototype], tmp_path: Path) -> None:
    stubs = [f"void stub_{p.name}({declared(p)}) {{}}\n" for p in prototypes.values()]
    uses = """int main() {
        std::vector<int> v; stub_sort_in_place(v, 2); stub_moved("a", {});
        stub_views(std::string_view("a"), "b", std::string("c").c_str());
        stub_struct_of_structs({"p", {{1, 2}}}, {1, 2});
    }"""
    (tmp_path / "stubs.cpp").write_text("".join([PREAMBLE, "#include <string_view>\n", *stubs, uses]))
    subprocess.run(["g++", "-std=c++17", "-Wall", "-Werror", "-fsyntax-only", "stubs.cpp"], cwd=tmp_path, check=True)
