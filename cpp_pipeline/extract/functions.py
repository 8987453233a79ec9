"""Functions, their documentation and documented declarations of one C++ file.

Belongs here: the walk over the syntax tree and what is read off a function.
Does not belong here: several files (`joining.py`), the meaning of a comment (`docs.py`), quality rules.

A *function* is a definition with a body of its own that is neither local to another body nor a macro call
such as `TEST(a, b) { }`. Its doc is the comment run that ends directly before it (before its `template<>`):
no blank line between, no code before the comment on its line, not `///<`, line and block comments never
mixed; only attributes and macros in capitals may stand between.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from tree_sitter import Node

from cpp_pipeline.extract.declarators import declared_function, name_parts, parameters_of, strip_angles, text_of
from cpp_pipeline.extract.parsing import PARSE_SECONDS, blank, parse_guarded, refusal


@dataclass(frozen=True)
class Function:
    """A function definition; lines count from 1, text is as written."""

    name: str
    qualified_name: str
    parameter_types: tuple[str, ...]
    parameter_names: tuple[str, ...]
    line: int
    end_line: int
    start_byte: int
    end_byte: int
    doc_raw: str
    """Comment as written; empty when there is none."""
    doc_line: int
    signature: str
    body: str
    code: str
    context: str
    is_anonymous: bool
    """In an unnamed namespace."""
    has_parse_error: bool


@dataclass(frozen=True)
class Declaration:
    """A documented declaration without a body."""

    name: str
    qualified_name: str
    parameter_types: tuple[str, ...]
    doc_raw: str
    doc_line: int
    is_anonymous: bool


@dataclass(frozen=True)
class FileFacts:
    """What one file holds; `refused` says why it was not read."""

    functions: tuple[Function, ...] = ()
    declarations: tuple[Declaration, ...] = ()
    includes: tuple[str, ...] = ()
    refused: str | None = None


@dataclass(frozen=True)
class _Scope:
    path: str = ""
    opening: str = ""
    anonymous: bool = False

    def inside(self, kind: str, name: str) -> _Scope:
        path = f"{self.path}::{name}" if self.path and name else self.path or name
        opening = f"{self.opening}{kind} {name} {{\n" if name else f"{self.opening}{kind} {{\n"
        return _Scope(path, opening, self.anonymous or (kind == "namespace" and not name))


_CLASSES = {"class_specifier": "class", "struct_specifier": "struct", "union_specifier": "union"}
_WRAPPERS = frozenset(("template_declaration", "linkage_specification", "friend_declaration"))
_CONTAINER_TEXT = """
    declaration_list field_declaration_list preproc_if preproc_ifdef preproc_else preproc_elif
    preproc_elifdef ERROR
"""
_CONTAINERS = frozenset(_CONTAINER_TEXT.split())
_DECLARATIONS = frozenset(("declaration", "field_declaration", "type_definition"))
_TARGETS = _CLASSES.keys() | _WRAPPERS | _CONTAINERS | _DECLARATIONS | {"function_definition", "namespace_definition"}
_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"][^">\n]+[">])', re.MULTILINE)
_GAP = re.compile(rb"(?:\s+|\[\[.*?\]\]|[A-Z][A-Z0-9_]+(?:\([^()\n]*\))?)*", re.DOTALL)
_BLANK_LINE = re.compile(rb"\n[ \t\r]*\n")
_CONTEXT_INCLUDES = 24


def _is_closed(body: Node) -> bool:
    """False where the file ends, or an error begins, before the brace that the parser then invents."""
    last = body.child(body.child_count - 1)
    return last is not None and last.type == "}" and not last.is_missing


class _Reader:
    """One walk; holds the tree no longer than the file is read."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self.functions: list[Function] = []
        self.declarations: list[Declaration] = []
        self.includes = tuple(_INCLUDE.findall(raw.decode("utf-8", "replace")))

    def walk(self, root: Node) -> None:
        # An explicit stack: input may be nested deeper than Python recurses.
        stack = [(root, _Scope())]
        while stack:
            container, scope = stack.pop()
            run: list[Node] = []
            for child in container.children:
                if child.type == "comment":
                    run = self._extend(run, child)
                elif child.is_named and child.type in _TARGETS:
                    target = self._unwrap(child)
                    if target.type == "function_definition":
                        self._function(child, target, scope, run)
                    elif target.type in ("declaration", "field_declaration") and run:
                        self._declaration(child, target, scope, run)
                    stack.extend(self._within(target, scope))
                    run = []
                elif child.type not in ("access_specifier", ":"):
                    run = []
        self.functions.sort(key=lambda f: f.start_byte)
        self.declarations.sort(key=lambda d: d.doc_line)

    def _extend(self, run: list[Node], comment: Node) -> list[Node]:
        start = comment.start_byte
        before = self.raw[self.raw.rfind(b"\n", 0, start) + 1 : start]
        text = self.raw[start : start + 4]
        if before.strip() or text.startswith((b"///<", b"//!<", b"/**<", b"/*!<")):
            return []
        if not run or not text.startswith(b"//") or not self.raw.startswith(b"//", run[-1].start_byte):
            return [comment]
        gap = self.raw[run[-1].end_byte : start]
        marked = self.raw[run[0].start_byte : run[0].start_byte + 3] in (b"///", b"//!")
        # `// ---- section ----` right above `/// doc` is not part of the doc.
        if gap.strip() or gap.count(b"\n") > 1 or (text[:3] in (b"///", b"//!") and not marked):
            return [comment]
        run.append(comment)
        return run

    def _doc(self, run: list[Node], anchor: Node) -> tuple[str, int, int]:
        """(doc as written, its line, where the function's own text starts)."""
        start = anchor.start_byte
        if not run:
            return "", 1, start
        gap = self.raw[run[-1].end_byte : start]
        if _BLANK_LINE.search(gap) or _GAP.fullmatch(gap) is None:
            return "", 1, start
        doc = self.raw[run[0].start_byte : run[-1].end_byte].decode("utf-8", "replace")
        return doc, run[0].start_point.row + 1, start - len(gap.lstrip())

    @staticmethod
    def _unwrap(node: Node) -> Node:
        while node.type in _WRAPPERS:
            inner = next((c for c in reversed(node.named_children) if c.type in _TARGETS), None)
            if inner is None:
                break
            node = inner
        return node

    @staticmethod
    def _within(target: Node, scope: _Scope) -> list[tuple[Node, _Scope]]:
        if target.type in _CONTAINERS:
            return [(target, scope)]
        if target.type in _DECLARATIONS:
            kind = target.child_by_field_name("type")
            if kind is None or kind.type not in _CLASSES:
                return []
            target = kind
        keyword = "namespace" if target.type == "namespace_definition" else _CLASSES.get(target.type)
        body = target.child_by_field_name("body")
        if keyword is None or body is None:
            return []
        named = target.child_by_field_name("name")
        name = strip_angles(text_of(named)).replace(" ", "") if named is not None else ""
        return [(body, scope.inside(keyword, name))]

    def _identify(self, node: Node, scope: _Scope) -> tuple[str, str, Node] | None:
        found = declared_function(node)
        if found is None:
            return None
        function, name_node = found
        written, name = name_parts(name_node)
        path = "::".join(p for p in (scope.path, written) if p)
        if not name:
            return None
        special = name.startswith(("~", "operator")) or name == path.rsplit("::", 1)[-1]
        if node.child_by_field_name("type") is None and not special:
            return None  # a macro call that looks like a function
        return name, f"{path}::{name}" if path else name, function

    def _function(self, anchor: Node, node: Node, scope: _Scope, run: list[Node]) -> None:
        body = node.child_by_field_name("body")
        identity = self._identify(node, scope)
        if body is None or body.type != "compound_statement" or identity is None or not _is_closed(body):
            return
        name, qualified, function = identity
        types, names = parameters_of(function)
        doc, doc_line, start = self._doc(run, anchor)
        includes = "".join(f"#include {i}\n" for i in self.includes[:_CONTEXT_INCLUDES])

        def cut(first: int, last: int) -> str:
            return self.raw[first:last].decode("utf-8", "replace")

        self.functions.append(
            Function(
                name=name,
                qualified_name=qualified,
                parameter_types=types,
                parameter_names=names,
                line=anchor.start_point.row + 1 - self.raw.count(b"\n", start, anchor.start_byte),
                end_line=node.end_point.row + 1,
                start_byte=start,
                end_byte=node.end_byte,
                doc_raw=doc,
                doc_line=doc_line,
                signature=cut(start, body.start_byte).rstrip(),
                body=cut(body.start_byte + 1, body.end_byte - 1),
                code=cut(start, node.end_byte),
                context=includes + scope.opening,
                is_anonymous=scope.anonymous,
                has_parse_error=node.has_error,
            )
        )

    def _declaration(self, anchor: Node, node: Node, scope: _Scope, run: list[Node]) -> None:
        identity = self._identify(node, scope)
        doc, doc_line, _ = self._doc(run, anchor)
        if identity is None or not doc:
            return
        name, qualified, function = identity
        types, _names = parameters_of(function)
        self.declarations.append(Declaration(name, qualified, types, doc, doc_line, scope.anonymous))


def read_functions(text: str, macros: tuple[str, ...] = (), seconds: float = PARSE_SECONDS) -> FileFacts:
    """Functions and documented declarations of one file.

    Parameters
    ----------
    text
        File as UTF-8 text with LF line ends.
    macros
        Names to blank before parsing (`MacroDefinitions.transparent`); the text handed back keeps them.
    seconds
        Wall-time limit of the parse.

    Returns
    -------
    FileFacts
        With `refused` set, and nothing else, when the file is out of bounds or takes too long.
    """
    raw = text.encode("utf-8", "replace")
    why = refusal(raw)
    if why is not None:
        return FileFacts(refused=why)
    tree = parse_guarded(blank(raw, macros), seconds)
    if tree is None:
        return FileFacts(refused=f"parsing took more than {seconds:g} s")
    reader = _Reader(raw)
    reader.walk(tree.root_node)
    return FileFacts(tuple(reader.functions), tuple(reader.declarations), reader.includes)
