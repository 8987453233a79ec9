"""C++ declarators: which function a declaration names, and its parameters.

Belongs here: reading one declarator of a syntax tree. Does not belong here: finding them (`walk.py`).
"""

from __future__ import annotations

import re
from functools import lru_cache

from tree_sitter import Node

_NAME_TEXT = """
    identifier field_identifier type_identifier qualified_identifier destructor_name operator_name
    template_function template_method dependent_name
"""
_NAMES = frozenset(_NAME_TEXT.split())
_PLAIN_NAMES = ("field_identifier", "identifier", "type_identifier")
_TYPE_NOISE = re.compile(r"\b(?:struct|class|enum|typename|union)\b|\b\w+\s*::|\s*::\s*")
_INNER_ANGLES = re.compile(r"<[^<>]*>")
_PLAIN_CHILDREN = 2  # the name and the parameters
_SPACES = re.compile(r"\s+")
_SPACED_MARK = re.compile(r" ?([^\w ]) ?")


def text_of(node: Node, source: bytes) -> str:
    """Text of a node of the tree of `source`."""
    return source[node.start_byte : node.end_byte].decode("utf-8", "replace")


def strip_angles(name: str) -> str:
    """`A<B<C>>::f` -> `A::f`."""
    if "<" in name:
        while (shorter := _INNER_ANGLES.sub("", name)) != name:
            name = shorter
    return name


def declared_function(definition: Node) -> tuple[Node, Node] | None:
    """(function declarator, name) of a definition or declaration; None when it declares no function.

    The function of a lambda that is assigned to a name is the lambda's declarator, or the lambda when it has none.
    """
    node = definition.child_by_field_name("declarator")
    while node is not None:
        kind = node.type
        if kind == "function_declarator":
            inner = node.child_by_field_name("declarator")
            if inner is not None and inner.type in ("parenthesized_declarator", "attributed_declarator"):
                bare = inner.named_child(0)  # (max)(a, b), which no macro takes; f [[cold]] ()
                inner = bare if bare is not None and bare.type in _NAMES else inner
            if inner is None or inner.type in _NAMES:
                return (node, inner) if inner is not None else None
            node = inner
        elif kind in ("operator_cast", "qualified_identifier"):
            last: Node | None = node
            while last is not None and last.type == "qualified_identifier":
                last = last.child_by_field_name("name")
            inner = last.child_by_field_name("declarator") if last and last.type == "operator_cast" else None
            return (inner, node) if inner is not None else None
        elif kind in ("pointer_declarator", "array_declarator"):
            node = node.child_by_field_name("declarator")
        elif kind in ("reference_declarator", "parenthesized_declarator", "attributed_declarator"):
            parts = [c for c in node.named_children if c.type.endswith(("declarator", "identifier", "operator_cast"))]
            node = parts[0] if parts else None
        else:
            return None
    return None


def lambda_of(declaration: Node) -> tuple[Node, Node] | None:
    """(lambda, name) of `auto name = [](...) {...};`."""
    declarator = declaration.child_by_field_name("declarator")
    holder = declarator if declarator is not None and declarator.type == "init_declarator" else declaration
    value = holder.child_by_field_name("value") or holder.child_by_field_name("default_value")
    name = holder.child_by_field_name("declarator")
    if value is None or value.type != "lambda_expression" or name is None or name.type not in _NAMES:
        return None
    return value, name


def name_parts(name: Node, source: bytes) -> tuple[str, str]:
    """(scope as written before the name, last name), template arguments removed."""
    if name.type in _PLAIN_NAMES:
        return "", text_of(name, source)
    scopes: list[str] = []
    while name.type == "qualified_identifier":
        scope, inner = name.child_by_field_name("scope"), name.child_by_field_name("name")
        if scope is not None:
            scopes.append(strip_angles(text_of(scope, source)).replace(" ", ""))
        if inner is None:
            break
        name = inner
    if name.type == "operator_cast":
        end: Node | None = name.child_by_field_name("declarator")
        while end is not None and end.type != "abstract_function_declarator":
            end = end.child_by_field_name("declarator")
        written = source[name.start_byte : name.end_byte if end is None else end.start_byte]
        last = _SPACES.sub(" ", written.decode("utf-8", "replace")).strip()
    elif name.type == "operator_name":
        last = _SPACES.sub(" ", text_of(name, source))
    else:
        last = strip_angles(text_of(name, source)).rsplit("::", 1)[-1].strip()
    return "::".join(s for s in scopes if s), last


def _parameter_name(declarator: Node | None) -> Node | None:
    while declarator is not None and declarator.type != "identifier":
        nested = declarator.child_by_field_name("declarator")
        if nested is None:
            nested = next((c for c in declarator.named_children if c.type.endswith(("declarator", "identifier"))), None)
        declarator = nested
    return declarator


@lru_cache(maxsize=4096)
def normalise_type(text: str) -> str:
    """A parameter type without namespaces, elaborations and blanks that mean nothing."""
    text = _SPACES.sub(" ", _TYPE_NOISE.sub(" ", text)).strip()
    return _SPACED_MARK.sub(r"\1", text)


def parameters_of(function: Node, source: bytes) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(normalised types, names) of a function declarator; an unnamed parameter has the name ''."""
    listed = function.child_by_field_name("parameters")
    types: list[str] = []
    names: list[str] = []
    for p in listed.named_children if listed is not None else ():
        if not p.type.endswith("parameter_declaration"):
            continue
        declarator, default = p.child_by_field_name("declarator"), p.child_by_field_name("default_value")
        name = _parameter_name(declarator)
        start, end = p.start_byte, p.end_byte
        if default is not None:
            end = (declarator or p.child_by_field_name("type") or default).end_byte
        whole = source[start:end]
        if name is not None:
            whole = source[start : name.start_byte] + b" " + source[name.end_byte : end]
        types.append(normalise_type(whole.decode("utf-8", "replace")))
        names.append(text_of(name, source) if name is not None else "")
    return ((), ()) if types == ["void"] else (tuple(types), tuple(names))


def qualifiers_of(function: Node, source: bytes) -> str:
    """What stands behind the parameters and tells overloads apart: `const`, `volatile`, `&`, `&&`."""
    if function.child_count <= _PLAIN_CHILDREN:
        return ""
    found = (c for c in function.named_children if c.type in ("type_qualifier", "ref_qualifier"))
    return " ".join(text_of(c, source) for c in found)
