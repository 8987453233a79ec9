"""C++ syntax trees for the modules of this room.

Belongs here: the parser and walks over nodes. What is made of a tree is in `mutants`, `asserts` and `mining`.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import tree_sitter_cpp
from tree_sitter import Language, Node, Parser

__all__ = ["Node", "function_name", "functions", "parse", "text", "walk"]


@cache
def _parser() -> Parser:
    return Parser(Language(tree_sitter_cpp.language()))


def parse(code: str) -> Node:
    """Root of the syntax tree of `code`; positions are bytes of its UTF-8 form."""
    return _parser().parse(code.encode()).root_node


def text(node: Node) -> str:
    """Source text of a node."""
    return (node.text or b"").decode()


def walk(node: Node) -> Iterator[Node]:
    """The node and all below it, in source order, without recursion (deep nesting is legal C++)."""
    stack = [node]
    while stack:
        current = stack.pop()
        yield current
        stack.extend(reversed(current.children))


def functions(root: Node) -> list[Node]:
    """Definitions of functions at file scope, in order; bodies of classes are not searched."""
    return [n for n in root.children if n.type == "function_definition"]


def function_name(function: Node) -> str:
    """Name of a function definition, without scope; empty when it has none (operators, conversions)."""
    declarator = function.child_by_field_name("declarator")
    while declarator is not None and declarator.type != "function_declarator":
        inner = declarator.child_by_field_name("declarator")
        declarator = inner or next((c for c in declarator.children if c.type.endswith("declarator")), None)
    name = declarator.child_by_field_name("declarator") if declarator is not None else None
    return text(name) if name is not None and name.type == "identifier" else ""
