"""What the sandbox can call in a piece of C++: a function by its prototype, or a whole program as one call.

Belongs here: finding functions in source text, and wrapping source so that it can be judged without tests.
Does not belong here: judging (`sandbox`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import tree_sitter_cpp
from tree_sitter import Language, Node, Parser

from cpp_pipeline.agent.inputs import is_prototype

PROBE = "agent_probe_"
PROBE_SIGNATURE = f"int {PROBE}()"
PROBE_TESTS: list[dict[str, Any]] = [{"args": [], "expected": 0}]
_MAIN = "agent_program_"


@dataclass(frozen=True)
class Function:
    """A free function: its name, the text before its body, and byte offsets of name and closing brace."""

    name: str
    signature: str
    name_start: int
    name_end: int
    body_end: int
    n_parameters: int


@cache
def _parser() -> Parser:
    return Parser(Language(tree_sitter_cpp.language()))


def functions(code: str) -> list[Function]:
    """Free functions at file scope, in order."""
    data = code.encode()
    tree = _parser().parse(data)
    return [f for node in tree.root_node.children if (f := _function(node, data))]


def callable_signature(code: str) -> str | None:
    """Signature of the last function that the sandbox can call; None when there is none."""
    found = [f.signature for f in functions(code) if f.name != "main" and is_prototype(f.signature)]
    return found[-1] if found else None


def probe(code: str) -> str:
    """The code with one more function that runs `main`, or does nothing where there is no `main`.

    Judged with `PROBE_SIGNATURE`, `PROBE_TESTS`, and <cstdio> and <iostream> in the preamble: CE means that it
    does not compile, AC that it ran and ended with 0 (or, without `main`, that it compiles).
    """
    main = next((f for f in functions(code) if f.name == "main"), None)
    if main is None:
        return f"{code}\n{PROBE_SIGNATURE} {{ return 0; }}\n"
    data = code.encode()
    # Only `main` may end without a return statement, so the renamed function gets one.
    renamed = (
        data[: main.name_start]
        + _MAIN.encode()
        + data[main.name_end : main.body_end - 1]
        + b"\nreturn 0; }"
        + data[main.body_end :]
    ).decode()
    arguments = "" if main.n_parameters == 0 else "1, argv"
    setup = "" if main.n_parameters == 0 else 'char name[] = "program"; char* argv[] = {name, nullptr}; '
    # The judge ends the process without running exit handlers, so what `main` printed is flushed here.
    flush = "std::cout.flush(); std::fflush(nullptr);"
    return f"{renamed}\n{PROBE_SIGNATURE} {{ {setup}const int code = {_MAIN}({arguments}); {flush} return code; }}\n"


def _function(node: Node, data: bytes) -> Function | None:
    if node.type != "function_definition":
        return None
    body = node.child_by_field_name("body")
    declarator = next(_declarators(node), None)
    if body is None or declarator is None:
        return None
    name = declarator.child_by_field_name("declarator")
    parameters = declarator.child_by_field_name("parameters")
    if name is None or name.type != "identifier" or parameters is None:
        return None
    return Function(
        data[name.start_byte : name.end_byte].decode(),
        " ".join(data[node.start_byte : body.start_byte].decode().split()),
        name.start_byte,
        name.end_byte,
        body.end_byte,
        sum(c.type == "parameter_declaration" for c in parameters.children),
    )


def _declarators(node: Node) -> Iterator[Node]:
    """Function declarators below `node`, through pointers and references, not into the body."""
    declarator = node.child_by_field_name("declarator")
    while declarator is not None:
        if declarator.type == "function_declarator":
            yield declarator
            return
        inner = declarator.child_by_field_name("declarator")
        declarator = inner or next((c for c in declarator.children if c.type == "function_declarator"), None)
