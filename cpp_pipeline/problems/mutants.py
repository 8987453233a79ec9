"""Small defects put into a C++ function: one edit of its syntax tree at a time.

Belongs here: which edits there are. Does not belong here: judging mutants (`repairs`, `mining`).

Left out because no legal input shows them: an edit of `reserve`, `assert` or `delete`, swapped arguments of
`min`, `max` and `gcd`, and `return {}` in place of a literal zero.
"""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import zip_longest

from cpp_pipeline.problems.syntax import Node, parse, text, walk

_ARITHMETIC = {"+": "-", "-": "+", "*": "+", "/": "*", "%": "/"}
_ASSIGNMENT = {"+=": "-=", "-=": "+=", "*=": "+=", "/=": "*=", "%=": "/=", "^=": "|=", "|=": "&=", "&=": "|="}
_BITS = {"&": "|", "|": "&", "^": "&"}
_LOGIC = {"&&": "||", "||": "&&"}
_NEGATED = {"<": ">=", ">=": "<", ">": "<=", "<=": ">", "==": "!=", "!=": "=="}
_BOUNDARY = {"<": "<=", "<=": "<", ">": ">=", ">=": ">"}
_INVISIBLE = re.compile(r"\b(reserve|shrink_to_fit|assert|delete)\b")
_ZERO = re.compile(r"[-+]?0+(\.0*)?[fFuUlL]*|\{\}|false|\"\"|nullptr|std::nullopt|\w[\w:<>, ]*(\{\}|\(\))")


@dataclass(frozen=True)
class Mutant:
    """A function with one defect and the operator that made it."""

    operator: str
    code: str


@dataclass(frozen=True)
class _Edit:
    operator: str
    start: int
    end: int
    replacement: str


def mutants(code: str, cap: int, seed: int) -> list[Mutant]:
    """Different functions one edit away from `code`, at most `cap`.

    Parameters
    ----------
    code
        One or more C++ function definitions; only bodies are edited. Code that does not parse has no mutants.
    cap
        Most mutants to return. Operators take turns, so that a frequent one does not crowd out the others.
    seed
        Chooses among the edits; equal arguments give equal mutants in equal order.
    """
    root = parse(code)
    if root.has_error:
        return []
    source = code.encode()
    edits = list(_edits(root))
    # Seeded by the code too, or the same operators would come first in every function.
    rng = random.Random(f"mutants {seed} {code}")
    rng.shuffle(edits)
    by_operator: dict[str, list[_Edit]] = defaultdict(list)
    for edit in edits:
        by_operator[edit.operator].append(edit)
    names = sorted(by_operator)
    rng.shuffle(names)
    found: dict[str, Mutant] = {}
    for turn in zip_longest(*(by_operator[name] for name in names)):
        for edit in filter(None, turn):
            mutated = (source[: edit.start] + edit.replacement.encode() + source[edit.end :]).decode()
            if mutated != code and mutated not in found:
                found[mutated] = Mutant(edit.operator, mutated)
    return list(found.values())[:cap]


def _edits(root: Node) -> Iterator[_Edit]:
    for function in (n for n in walk(root) if n.type == "function_definition"):
        body = function.child_by_field_name("body")
        for node in walk(body) if body is not None else ():
            rule = _RULES.get(node.type)
            if rule is not None:
                yield from rule(node)


def _replace(operator: str, node: Node, replacement: str) -> _Edit:
    return _Edit(operator, node.start_byte, node.end_byte, replacement)


def _constant(node: Node) -> Iterator[_Edit]:
    found = re.fullmatch(r"(-?\d+)([uUlL]*)", text(node))
    octal = found and re.match(r"-?0\d", found.group(1))
    if found is None or octal:
        return
    value, suffix = int(found.group(1)), found.group(2)
    yield _replace("constant_plus", node, f"{value + 1}{suffix}")
    if value > 0 or not suffix:
        yield _replace("constant_minus", node, f"{value - 1}{suffix}")


def _binary(node: Node) -> Iterator[_Edit]:
    operator = node.child_by_field_name("operator")
    if operator is None:
        return
    tables = (
        ("arithmetic", _ARITHMETIC),
        ("bitwise", _BITS),
        ("logic", _LOGIC),
        ("relational_negate", _NEGATED),
        ("relational_boundary", _BOUNDARY),
    )
    for name, table in tables:
        if text(operator) in table:
            yield _replace(name, operator, table[text(operator)])


def _assignment(node: Node) -> Iterator[_Edit]:
    operator = node.child_by_field_name("operator")
    if operator is not None and text(operator) in _ASSIGNMENT:
        yield _replace("assignment", operator, _ASSIGNMENT[text(operator)])


def _condition(node: Node) -> Iterator[_Edit]:
    """Negate a condition; a single comparison is left to `relational_negate`, which gives the same program."""
    condition = node.child_by_field_name("condition")
    value = condition.child_by_field_name("value") if condition is not None else None
    if value is None or "declaration" in value.type:
        return
    operator = value.child_by_field_name("operator")
    if value.type == "binary_expression" and operator is not None and text(operator) in _NEGATED:
        return
    yield _replace("condition_negate", value, f"!({text(value)})")


def _statement(node: Node) -> Iterator[_Edit]:
    parent = node.parent
    if parent is not None and parent.type == "for_statement" and node.type == "expression_statement":
        return
    if text(node) != ";" and not _INVISIBLE.search(text(node)):
        yield _replace("delete_statement", node, ";")


def _return(node: Node) -> Iterator[_Edit]:
    if node.named_child_count == 1 and not _ZERO.fullmatch(text(node.named_children[0])):
        yield _replace("return_default", node, "return {};")


def _loop_bound(node: Node) -> Iterator[_Edit]:
    condition = node.child_by_field_name("condition")
    operator = condition.child_by_field_name("operator") if condition is not None else None
    right = condition.child_by_field_name("right") if condition is not None else None
    if operator is None or right is None or text(operator) not in _BOUNDARY:
        return
    for sign in "+-":
        yield _replace("loop_bound", right, f"{text(right)} {sign} 1")


def _update(node: Node) -> Iterator[_Edit]:
    operator = node.child_by_field_name("operator")
    if operator is not None:
        yield _replace("increment", operator, "--" if text(operator) == "++" else "++")


def _boolean(node: Node) -> Iterator[_Edit]:
    yield _replace("boolean", node, "false" if node.type == "true" else "true")


_RULES: dict[str, Callable[[Node], Iterator[_Edit]]] = {
    "number_literal": _constant,
    "binary_expression": _binary,
    "assignment_expression": _assignment,
    "if_statement": _condition,
    "while_statement": _condition,
    "expression_statement": _statement,
    "continue_statement": _statement,
    "break_statement": _statement,
    "return_statement": _return,
    "for_statement": _loop_bound,
    "update_expression": _update,
    "true": _boolean,
    "false": _boolean,
}
