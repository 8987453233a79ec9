"""What is read off a function where it stands.

Belongs here: from a site of the walk to one of the types of `facts.py`. Does not belong here: where functions stand
(`walk.py`), which files are read (`functions.py`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from tree_sitter import Node

from cpp_pipeline.extract.declarators import declared_function, lambda_of, name_parts, parameters_of, qualifiers_of
from cpp_pipeline.extract.facts import Bare, Declaration, Function, TypeHead
from cpp_pipeline.extract.walk import Scope, Site

_INCLUDE = re.compile(rb'#[ \t]*+include[ \t]*+([<"][^">\n]++[">])')
_CONTEXT_INCLUDES = 24


class Parts(NamedTuple):
    """The nodes of a definition that matter."""

    name: str
    qualified_name: str
    function: Node
    body: Node


@dataclass(frozen=True)
class Source:
    """The bytes of a file as written, and as they are parsed with macros blanked; offsets are equal."""

    raw: bytes
    blanked: bytes
    includes: tuple[str, ...]
    kinds: np.ndarray[Any, Any] | None = None
    """As `lexical_kernel.kinds` tells them; None for a part of a file."""

    def text(self, first: int, last: int) -> str:
        """A slice as written."""
        return self.raw[first:last].decode("utf-8", "replace")

    def context(self, scope: Scope) -> str:
        """Code that stands before what is in `scope`."""
        return "".join(f"#include {i}\n" for i in self.includes[:_CONTEXT_INCLUDES]) + scope.opening


@lru_cache(maxsize=2)
def source_of(text: str, macros: tuple[str, ...]) -> Source:
    """A file as bytes; the last two are kept, for the functions of one file are asked for one by one."""
    from cpp_pipeline.extract.blanking import blank  # compiled code is loaded with it
    from cpp_pipeline.extract.lexical_kernel import kinds

    raw = text.encode("utf-8", "replace")
    includes = tuple(
        m[1].decode("utf-8", "replace")
        for m in _INCLUDE.finditer(raw)
        if not raw[raw.rfind(b"\n", 0, m.start()) + 1 : m.start()].strip(b" \t")
    )
    found = kinds(raw)
    return Source(raw, blank(raw, found, macros), includes, found)


def _body(node: Node) -> Node | None:
    """The body of a definition; None where it has none, or where the parser invented its end."""
    body = node.child_by_field_name("body") or next((c for c in node.children if c.type == "try_statement"), None)
    if body is None or body.type not in ("compound_statement", "try_statement"):
        return None
    last = body
    while node.has_error and last.type != "}":
        inner = last.child(last.child_count - 1)
        if inner is None:
            return None
        last = inner
    return None if last.is_missing else body


def _initialises(node: Node) -> bool:
    """Whether it is a constructor for certain, also where an error hides its class."""
    return any(c.type == "field_initializer_list" for c in node.named_children)


def _identify(node: Node, scope: Scope, source: bytes) -> tuple[str, str, Node] | None:
    found = declared_function(node)
    if found is None:
        return None
    function, name_node = found
    written, name = name_parts(name_node, source)
    if not name:
        return None
    path = f"{scope.path}::{written}" if scope.path and written else scope.path or written
    special = name.startswith(("~", "operator")) or name == path.rsplit("::", 1)[-1]
    if not special and node.child_by_field_name("type") is None and not _initialises(node):
        return None  # a macro call that looks like a function
    return name, f"{path}::{name}" if path else name, function


def parts_of(site: Site, source: bytes) -> Parts | None:
    """The nodes of the function with a body that stands there, if one does."""
    if site.node.type == "function_definition":
        body = _body(site.node)
        identity = _identify(site.node, site.scope, source) if body is not None else None
        return Parts(*identity, body) if body is not None and identity is not None else None
    found = lambda_of(site.node)
    body = _body(found[0]) if found is not None else None
    if found is None or body is None:
        return None
    name = name_parts(found[1], source)[1]
    function = found[0].child_by_field_name("declarator") or found[0]
    return Parts(name, f"{site.scope.path}::{name}" if site.scope.path else name, function, body)


def _line(site: Site, raw: bytes, byte: int) -> int:
    """The line of a byte near the site, counted from there: from the top it would be quadratic."""
    at = site.anchor.start_byte
    return site.anchor.start_point.row + 1 - raw.count(b"\n", byte, at) + raw.count(b"\n", at, byte)


def bare_of(site: Site, parts: Parts, source: Source) -> Bare:
    """Name and place only."""
    return Bare(
        parts.name,
        parts.qualified_name,
        _line(site, source.raw, site.start),
        site.start,
        site.anchor.end_byte,
        site.scope.anonymous,
        site.scope.is_class,
        site.node.has_error,
        parts.body.start_byte,
        site.scope.opening,
    )


def function_of(site: Site, parts: Parts, source: Source) -> Function:
    """The function in full."""
    types, names = parameters_of(parts.function, source.blanked)
    first, last = site.doc or (0, 0)
    body = parts.body
    braces = int(body.type == "compound_statement")
    return Function(
        name=parts.name,
        qualified_name=parts.qualified_name,
        parameter_types=types,
        parameter_names=names,
        line=_line(site, source.raw, site.start),
        end_line=site.anchor.end_point.row + 1,
        start_byte=site.start,
        end_byte=site.anchor.end_byte,
        doc_raw=source.text(first, last),
        doc_line=_line(site, source.raw, first) if site.doc else 1,
        signature=source.text(site.start, body.start_byte).rstrip(),
        body=source.text(body.start_byte + braces, body.end_byte - braces),
        code=source.text(site.start, site.anchor.end_byte),
        context=source.context(site.scope),
        is_anonymous=site.scope.anonymous,
        has_parse_error=site.node.has_error,
        qualifiers=qualifiers_of(parts.function, source.blanked),
    )


def declaration_of(site: Site, source: Source) -> Declaration | None:
    """None when no function is declared there."""
    identity = _identify(site.node, site.scope, source.blanked)
    if identity is None:
        return None
    name, qualified, function = identity
    first, last = site.doc or (0, 0)
    return Declaration(
        name=name,
        qualified_name=qualified,
        parameter_types=parameters_of(function, source.blanked)[0],
        qualifiers=qualifiers_of(function, source.blanked),
        doc_raw=source.text(first, last),
        doc_line=_line(site, source.raw, first if site.doc else site.start),
        is_anonymous=site.scope.anonymous,
    )


def type_of(site: Site, source: Source) -> TypeHead | None:
    """None for a function, or a type without a name."""
    named = site.node.child_by_field_name("name")
    if named is None:
        return None
    body = site.node.child_by_field_name("body")
    end = site.node.end_byte if body is None else body.start_byte
    name = source.blanked[named.start_byte : named.end_byte].decode("utf-8", "replace")
    return TypeHead(name.partition("<")[0].rpartition("::")[2], site.start, end)
