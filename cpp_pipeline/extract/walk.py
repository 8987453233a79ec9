"""Where the functions of a syntax tree stand, and which comment documents each.

Belongs here: the pruned walk and the rules that tie a comment to what it stands at.
Does not belong here: what is read off a function that was found (`functions.py`), the meaning of a comment (`docs.py`).

A comment documents what begins directly after it (with its `template<>`): at most one newline between, no code before
the comment on its line; only attributes and macros in capitals may stand between. Comments of `//` lines that follow
each other are one, line and block comments never mix. A comment that begins with `///<`, `//!<`, `/**<` or `/*!<`
documents what ends before it on its line, if that has no other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from tree_sitter import Node

from cpp_pipeline.extract.declarators import strip_angles


@dataclass(frozen=True)
class Scope:
    """The namespaces and classes around a place."""

    path: str = ""
    """Their names, joined by `::`."""
    opening: str = ""
    """One line each, as code that opens them."""
    anonymous: bool = False
    is_class: bool = False

    def inside(self, keyword: str, name: str) -> Scope:
        """The scope that `keyword name {` opens."""
        path = f"{self.path}::{name}" if self.path and name else self.path or name
        opening = f"{self.opening}{keyword} {name} {{\n" if name else f"{self.opening}{keyword} {{\n"
        is_class = keyword != "namespace"
        return Scope(path, opening, self.anonymous or not (name or is_class), is_class)


class Site(NamedTuple):
    """A node that may be a function; nodes live only as long as the walk stands there."""

    node: Node
    """A function definition, a declaration, or a type that has a name."""
    anchor: Node
    """The node or its outermost `template<>`, `extern "C"` or `friend`."""
    scope: Scope
    start: int
    """First byte of its text: before the anchor where macros stand before it."""
    doc: tuple[int, int] | None
    """Bytes of the comment."""


_CLASSES = {"class_specifier": "class", "struct_specifier": "struct", "union_specifier": "union"}
_WRAPPERS = ("template_declaration", "linkage_specification", "friend_declaration")
_CONTAINERS = (
    "declaration_list",
    "field_declaration_list",
    "preproc_if",
    "preproc_ifdef",
    "preproc_else",
    "preproc_elif",
    "preproc_elifdef",
    "ERROR",
)
_COMMENT, _FUNCTION, _DECLARATION, _CLASS, _NAMESPACE, _WRAPPER, _CONTAINER, _PASSED_OVER, _TORN, _TYPE = range(10)
_CODES = {
    "comment": _COMMENT,
    "function_definition": _FUNCTION,
    "declaration": _DECLARATION,
    "field_declaration": _DECLARATION,
    "type_definition": _DECLARATION,
    "namespace_definition": _NAMESPACE,
    "access_specifier": _PASSED_OVER,
    ":": _PASSED_OVER,
    "compound_statement": _TORN,
    "enum_specifier": _TYPE,
    "alias_declaration": _TYPE,
    **dict.fromkeys(_CLASSES, _CLASS),
    **dict.fromkeys(_WRAPPERS, _WRAPPER),
    **dict.fromkeys(_CONTAINERS, _CONTAINER),
}
_MAY_BE_FUNCTIONS = (_FUNCTION, _DECLARATION)
_SCOPES = (_NAMESPACE, _CLASS)
_TYPES = (_CLASS, _TYPE)
_TARGETS = (_FUNCTION, _DECLARATION, _TYPE, _CLASS, _NAMESPACE, _WRAPPER, _CONTAINER)
_TRAILING = (b"///<", b"//!<", b"/**<", b"/*!<")
_MARKED = (b"///", b"//!")
_GAP = re.compile(rb"(?:\s++|\[\[[^\]]*+\]\]|[A-Z][A-Z0-9_]++(?:\([^()\n]*+\))?+)*+")
_BLANK_LINE = re.compile(rb"\n[ \t]*+\n")


def sites(root: Node, raw: bytes, source: bytes, errors: list[tuple[int, int]] | None = None) -> Iterator[Site]:
    """Function definitions, declarations and types, in no particular order.

    Parameters
    ----------
    root
        Tree of `source`.
    raw, source
        The text as written, and with macros blanked; offsets are equal.
    errors
        Takes first byte and end of each stretch between functions that holds an error.
    """
    # An explicit stack: input may be nested deeper than Python recurses.
    stack = [(root, Scope())]
    while stack:
        container, scope = stack.pop()
        comments: list[Node] = []
        children = container.children
        for at, child in enumerate(children):
            code = _CODES.get(child.type)
            if code == _COMMENT:
                comments.append(child)
                continue
            if code == _PASSED_OVER:
                continue
            if code == _TORN:  # a body whose head is somewhere in front
                if errors is not None:
                    errors.append((children[max(0, at - 2)].start_byte, child.start_byte))
            elif code is not None:
                node = child if code != _WRAPPER else _unwrap(child)
                code = _CODES.get(node.type)
                if code in _MAY_BE_FUNCTIONS:
                    start, doc = child.start_byte, None
                    if comments or code == _FUNCTION:
                        start, doc = _doc(comments, start, raw, source)
                    if doc is None:
                        doc = _trailing_doc(children, at, raw)
                    yield Site(node, child, scope, start, doc)
                elif code in _TYPES:
                    yield Site(node, child, scope, child.start_byte, None)
                if code == _CONTAINER:
                    stack.append((node, scope))
                    if errors is not None and node.type == "ERROR":
                        errors.append((node.start_byte, node.end_byte))
                elif code != _FUNCTION:
                    _enter(node, scope, source, stack)
                    if errors is not None and code in _SCOPES and node.has_error:
                        errors += [(c.start_byte, c.end_byte) for c in node.children if c.type == "ERROR"]
            comments = []


def undocumented(anchor: Node, scope: Scope) -> Site:
    """The site of a declaration that was found before, without its comment."""
    return Site(_unwrap(anchor), anchor, scope, anchor.start_byte, None)


def _unwrap(node: Node) -> Node:
    """What `template<>`, `extern "C"` or `friend` is about."""
    while node.type in _WRAPPERS:
        inner = next((c for c in reversed(node.children) if _CODES.get(c.type) in _TARGETS), None)
        if inner is None:
            break
        node = inner
    return node


def _enter(node: Node, scope: Scope, source: bytes, stack: list[tuple[Node, Scope]]) -> None:
    """Push the body of a namespace or class, also of a class that a declaration defines."""
    if _CODES.get(node.type) == _DECLARATION:
        kind = node.child_by_field_name("type")
        if kind is None or kind.type not in _CLASSES:
            return
        node = kind
    keyword = "namespace" if node.type == "namespace_definition" else _CLASSES.get(node.type)
    body = node.child_by_field_name("body")
    if keyword is None or body is None:
        return
    named = node.child_by_field_name("name")
    name = source[named.start_byte : named.end_byte].decode("utf-8", "replace") if named is not None else ""
    stack.append((body, scope.inside(keyword, strip_angles(name).replace(" ", ""))))


# -- comments ----------------------------------------------------------------------------------------


def _doc(comments: list[Node], start: int, raw: bytes, source: bytes) -> tuple[int, tuple[int, int] | None]:
    """(where the text of what begins at `start` begins, bytes of its comment or None)."""
    if comments:
        last = comments[-1]
        gap = raw[last.end_byte : start]
        if not _BLANK_LINE.search(gap) and b"#" not in gap and _GAP.fullmatch(source, last.end_byte, start):
            first = _first_of_run(comments, raw)
            if first is not None:
                return start - len(gap.lstrip()), (first, last.end_byte)
    if raw is not source:
        line = raw.rfind(b"\n", 0, start) + 1
        before = raw[line:start].lstrip()
        if before and not source[line:start].strip():
            return start - len(before), None  # blanked macros belong to what they stand before
    return start, None


def _first_of_run(comments: list[Node], raw: bytes) -> int | None:
    """First byte of the comment that ends with the last of `comments`; None when it documents nothing below."""
    top: int | None = None
    top_marked: int | None = None
    for comment in reversed(comments):
        start = comment.start_byte
        head = raw[start : start + 4]
        if head in _TRAILING or raw[raw.rfind(b"\n", 0, start) + 1 : start].strip():
            break
        is_line = head[:2] == b"//"
        if top is not None:
            gap = raw[comment.end_byte : top]
            if not is_line or gap.strip() or gap.count(b"\n") > 1:
                break
        top = start
        if not is_line:
            break
        if head[:3] in _MARKED:
            top_marked = start
    # `// ---- section ----` right above `/// doc` is not part of the doc.
    return top if top_marked is None else top_marked


def _trailing_doc(children: list[Node], at: int, raw: bytes) -> tuple[int, int] | None:
    """Bytes of the comment that begins with `///<` on the line where `children[at]` ends."""
    end = children[at].end_byte
    first: int | None = None
    for index in range(at + 1, len(children)):
        start = children[index].start_byte
        if first is None and raw.startswith(b";", start):
            continue
        gap = raw[end:start]
        if not raw.startswith(_TRAILING, start) or gap.strip(b" \t\n;") or gap.count(b"\n") > (first is not None):
            break
        first, end = start if first is None else first, children[index].end_byte
    return None if first is None else (first, end)
