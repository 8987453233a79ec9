"""C++ declarators: which function a declaration names, and its parameters.

Belongs here: reading one declarator of a syntax tree. Does not belong here: finding them (`functions.py`).
"""

from __future__ import annotations

import re

from tree_sitter import Node

_NAME_TEXT = """
    identifier field_identifier type_identifier qualified_identifier destructor_name operator_name
    template_function template_method dependent_name
"""
_NAMES = frozenset(_NAME_TEXT.split())
_TYPE_NOISE = re.compile(r"\b(?:struct|class|enum|typename|union)\b|\b\w+\s*::|\s*::\s*")
_INNER_ANGLES = re.compile(r"<[^<>]*>")


def text_of(node: Node) -> str:
    """Source text of a node."""
    return (node.text or b"").decode("utf-8", "replace")


def strip_angles(name: str) -> str:
    """`A<B<C>>::f` -> `A::f`."""
    while (shorter := _INNER_ANGLES.sub("", name)) != name:
        name = shorter
    return name


def declared_function(definition: Node) -> tuple[Node, Node] | None:
    """(function declarator, name) of a definition or declaration; None when it declares no function."""
    node = definition.child_by_field_name("declarator")
    while node is not None:
        if node.type == "function_declarator":
            inner = node.child_by_field_name("declarator")
            if inner is None or inner.type in _NAMES:
                return (node, inner) if inner is not None else None
            node = inner
        elif node.type in ("operator_cast", "qualified_identifier"):
            last: Node | None = node
            while last is not None and last.type == "qualified_identifier":
                last = last.child_by_field_name("name")
            inner = last.child_by_field_name("declarator") if last and last.type == "operator_cast" else None
            return (inner, node) if inner is not None else None
        elif node.type in ("pointer_declarator", "array_declarator"):
            node = node.child_by_field_name("declarator")
        elif node.type in ("reference_declarator", "parenthesized_declarator", "attributed_declarator"):
            parts = [c for c in node.named_children if c.type.endswith(("declarator", "identifier", "operator_cast"))]
            node = parts[0] if parts else None
        else:
            return None
    return None


def name_parts(name: Node) -> tuple[str, str]:
    """(scope as written before the name, last name), template arguments removed."""
    scopes: list[str] = []
    while name.type == "qualified_identifier":
        scope, inner = name.child_by_field_name("scope"), name.child_by_field_name("name")
        if scope is not None:
            scopes.append(strip_angles(text_of(scope)).replace(" ", ""))
        if inner is None:
            break
        name = inner
    if name.type == "operator_cast":
        kind = name.child_by_field_name("type")
        last = f"operator {text_of(kind)}" if kind is not None else "operator"
    elif name.type == "operator_name":
        last = re.sub(r"\s+", " ", text_of(name))
    else:
        last = strip_angles(text_of(name)).split("::")[-1].strip()
    return "::".join(s for s in scopes if s), last


def _parameter_name(declarator: Node | None) -> Node | None:
    while declarator is not None and declarator.type != "identifier":
        nested = declarator.child_by_field_name("declarator")
        if nested is None:
            nested = next((c for c in declarator.named_children if c.type.endswith(("declarator", "identifier"))), None)
        declarator = nested
    return declarator


def normalise_type(text: str) -> str:
    """A parameter type without namespaces, elaborations and blanks that mean nothing."""
    text = re.sub(r"\s+", " ", _TYPE_NOISE.sub(" ", text)).strip()
    return re.sub(r" ?([^\w ]) ?", r"\1", text)


def parameters_of(function: Node) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(normalised types, names) of a function declarator; an unnamed parameter has the name ''."""
    listed = function.child_by_field_name("parameters")
    types: list[str] = []
    names: list[str] = []
    for p in listed.named_children if listed is not None else ():
        if not p.type.endswith("parameter_declaration"):
            continue
        declarator, default = p.child_by_field_name("declarator"), p.child_by_field_name("default_value")
        name = _parameter_name(declarator)
        whole, start = p.text or b"", p.start_byte
        if default is not None:
            whole = whole[: (declarator or p.child_by_field_name("type") or default).end_byte - start]
        if name is not None:
            whole = whole[: name.start_byte - start] + b" " + whole[name.end_byte - start :]
        types.append(normalise_type(whole.decode("utf-8", "replace")))
        names.append(text_of(name) if name is not None else "")
    return ((), ()) if types == ["void"] else (tuple(types), tuple(names))
