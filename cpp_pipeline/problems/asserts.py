"""Assert-style C++ tests turned into JSON tests.

Belongs here: reading `assert(f(args) == value)` and its relatives with plain literals. Nothing is executed.
Does not belong here: file formats (`formats`). What cannot be read exactly is refused, never guessed.
"""

from __future__ import annotations

import ast
import re
from typing import Any

from cpp_pipeline.problems.rows import Row
from cpp_pipeline.problems.syntax import Node, function_name, functions, parse, text, walk
from cpp_pipeline.sandbox.cpp.prototype import INTEGERS, CppType, Prototype

_INTEGER = re.compile(r"(0[xX][0-9a-fA-F]+|0[bB][01]+|\d+)[uUlLzZ]*")
_FLOAT = re.compile(r"(\d+\.\d*|\.\d+|\d+)([eE][-+]?\d+)?[fFlL]?")
# Bodies of comparison helpers, blanks taken out, that mean "equal element by element".
_SIZES = r"if\(a\.size\(\)!=b\.size\(\)\)returnfalse;"
_LOOP = r"for\(inti=0;i<a\.size\(\);i\+\+\)\{?"
_SAME_BODIES = tuple(
    re.compile(r"\{" + _SIZES + middle + r"returntrue;\}")
    for middle in (
        _LOOP + r"if\((a\[i\]!=b\[i\]|f?abs\(a\[i\]-b\[i\]\)>1e-\d+)\)returnfalse;\}?",
        _LOOP + r"if\(a\[i\]\.size\(\)!=b\[i\]\.size\(\)\)returnfalse;"
        r"for\(intj=0;j<a\[i\]\.size\(\);j\+\+\)\{?if\(a\[i\]\[j\]!=b\[i\]\[j\]\)returnfalse;\}?\}?",
        r"map<\w+,\w+>::iteratorit;for\(it=a\.begin\(\);it!=a\.end\(\);it\+\+\)\{\w+w1=it->first;\w+w2=it->second;"
        r"if\(b\.find\(w1\)==b\.end\(\)\)returnfalse;if\(b\[w1\]!=w2\)returnfalse;\}",
    )
)


class NotConvertible(ValueError):
    """An assert, literal or helper that has no exact JSON form; says which."""


def convert(test_code: str, prototype: Prototype) -> list[Row]:
    """JSON tests with the meaning of every assert in `main` of `test_code`.

    Read are `f(..) == v`, `v == f(..)`, `f(..)`, `!f(..)`, `abs(f(..) - v) < e` and `same(f(..), v)` where
    `same` is defined in the test code and compares element by element; `v` and the arguments are literals or
    local variables that hold one.

    Raises
    ------
    NotConvertible
        At the first statement that is none of these.
    """
    defined = {function_name(f): f for f in functions(parse(test_code))}
    if "main" not in defined:
        raise NotConvertible("the test code has no main function")
    same = {name for name, f in defined.items() if name != "main" and _is_same(f)}
    variables: dict[str, Node] = {}
    tests: list[Row] = []
    body = defined["main"].child_by_field_name("body")
    for statement in body.named_children if body is not None else []:
        if statement.type == "declaration":
            _declare(statement, variables)
        elif statement.type == "expression_statement" and statement.named_child_count == 1:
            tests.append(_Assert(prototype, same, variables).read(statement.named_children[0]))
        elif statement.type not in ("comment", "return_statement", ";"):
            raise NotConvertible(f"statement `{text(statement)[:80]}`")
    if not tests:
        raise NotConvertible("no assert in main")
    return tests


def _is_same(function: Node) -> bool:
    body = function.child_by_field_name("body")
    squeezed = re.sub(r"\s+", "", text(body)) if body is not None else ""
    return any(pattern.fullmatch(squeezed) for pattern in _SAME_BODIES)


def _declare(statement: Node, variables: dict[str, Node]) -> None:
    for child in statement.named_children:
        if child.type != "init_declarator":
            continue
        name, value = child.child_by_field_name("declarator"), child.child_by_field_name("value")
        if name is None or value is None or name.type != "identifier":
            raise NotConvertible(f"declaration `{text(statement)[:80]}`")
        variables[text(name)] = value


class _Assert:
    """Reads one assert; holds what identifiers may stand for."""

    def __init__(self, prototype: Prototype, same: set[str], variables: dict[str, Node]) -> None:
        self.prototype = prototype
        self.same = same
        self.variables = variables

    def read(self, node: Node) -> Row:
        if _callee(node) != "assert":
            raise NotConvertible(f"statement `{text(node)[:80]}`")
        condition = _unwrap(_arguments(node)[0])
        while condition.type == "binary_expression" and _operator(condition) == "&&":
            left, right = _sides(condition)
            if right.type != "string_literal":
                raise NotConvertible(f"condition `{text(condition)[:80]}`")
            condition = _unwrap(left)
        return self.condition(condition)

    def condition(self, node: Node) -> Row:
        if node.type == "binary_expression" and _operator(node) == "==":
            left, right = _sides(node)
            return self.test(left, right) if self.is_call(left) else self.test(right, left)
        if node.type == "binary_expression" and _operator(node) in ("<", "<="):
            distance = _sides(node)[0]
            inner = _unwrap(_arguments(distance)[0]) if _callee(distance) in _ABS else distance
            if inner is not distance and inner.type == "binary_expression" and _operator(inner) == "-":
                left, right = _sides(inner)
                return self.test(left, right) if self.is_call(left) else self.test(right, left)
            if inner is not distance and inner.type == "binary_expression" and _operator(inner) == "+":
                left, right = _sides(inner)
                return self.test(left, -_number(right))
        if _callee(node) in self.same and len(_arguments(node)) == 2:
            left, right = (_unwrap(a) for a in _arguments(node))
            return self.test(left, right) if self.is_call(left) else self.test(right, left)
        if self.is_call(node):
            return self.test(node, True)
        if node.type == "unary_expression" and _operator(node) in ("!", "not"):
            return self.test(_unwrap(node.named_children[-1]), False)
        raise NotConvertible(f"condition `{text(node)[:80]}`")

    def is_call(self, node: Node) -> bool:
        return _callee(node) == self.prototype.name

    def test(self, call: Node, expected: Node | bool | float) -> Row:
        if not self.is_call(call):
            raise NotConvertible(f"`{text(call)[:80]}` is not a call of {self.prototype.name}")
        arguments = _arguments(call)
        if len(arguments) != len(self.prototype.params):
            raise NotConvertible(f"`{text(call)[:80]}` has {len(arguments)} arguments")
        args = [self.value(a, kind) for a, (kind, _) in zip(arguments, self.prototype.params, strict=True)]
        kind = self.prototype.return_type
        if isinstance(expected, bool):
            if kind.name != "bool":
                raise NotConvertible(f"`{text(call)[:80]}` is used as a condition but is no bool")
            return {"args": args, "expected": expected}
        if isinstance(expected, int | float):
            return {"args": args, "expected": _fit(expected, kind)}
        return {"args": args, "expected": self.value(expected, kind)}

    def value(self, node: Node, kind: CppType) -> Any:
        node = _unwrap(node)
        if node.type == "identifier" and text(node) in self.variables:
            node = self.variables[text(node)]
        return literal(node, kind)


_ABS = ("abs", "fabs", "std::abs", "std::fabs")
_SEQUENCES = ("std::vector", "std::deque", "std::set", "std::unordered_set")
_MAPS = ("std::map", "std::unordered_map")


def literal(node: Node, kind: CppType) -> Any:
    """The JSON value that a C++ literal has as an object of type `kind`.

    Raises
    ------
    NotConvertible
        When the expression is no literal or does not fit the type exactly.
    """
    node = _unwrap(node)
    if node.type == "compound_literal_expression":
        value = node.child_by_field_name("value")
        node = node if value is None else value
    if kind.args:
        return _container(node, kind)
    if kind.name == "std::string":
        return _string(node)
    if kind.name == "char" and node.type == "char_literal":
        return _quoted(text(node))
    if kind.name == "bool" and node.type in ("true", "false"):
        return node.type == "true"
    return _fit(_number(node), kind)


def _fit(number: int | float, kind: CppType) -> bool | int | float:
    if kind.name in ("float", "double"):
        return float(number)
    if kind.name == "bool" and number in (0, 1):
        return bool(number)
    if kind.name in INTEGERS and number == int(number):
        return int(number)
    raise NotConvertible(f"{number} as {kind}")


def _container(node: Node, kind: CppType) -> Any:
    if kind.name == "std::optional":
        return None if text(node) in ("std::nullopt", "nullopt") else literal(node, kind.args[0])
    if node.type != "initializer_list":
        raise NotConvertible(f"`{text(node)[:80]}` as {kind}")
    items = [c for c in node.named_children if c.type != "comment"]
    if kind.name in ("std::pair", "std::tuple"):
        if len(items) != len(kind.args):
            raise NotConvertible(f"`{text(node)[:80]}` as {kind}")
        return [literal(i, k) for i, k in zip(items, kind.args, strict=True)]
    if kind.name in _MAPS:
        return sorted(literal(i, CppType("std::pair", kind.args)) for i in items)
    if kind.name not in _SEQUENCES:
        raise NotConvertible(f"`{text(node)[:80]}` as {kind}")
    values = [literal(i, kind.args[0]) for i in items]
    return values if kind.name in ("std::vector", "std::deque") else sorted(values)


def _string(node: Node) -> str:
    if node.type == "concatenated_string":
        return "".join(_string(c) for c in node.named_children if c.type != "comment")
    if node.type != "string_literal" or not text(node).startswith('"'):
        raise NotConvertible(f"`{text(node)[:80]}` as std::string")
    return _quoted(text(node))


def _quoted(source: str) -> str:
    try:
        # C++ and Python agree on \n \t \r \\ \' \" \a \b \f \v, \xhh and \ooo.
        value = ast.literal_eval(source)
    except (SyntaxError, ValueError) as error:
        raise NotConvertible(f"`{source[:80]}`: {error}") from None
    return str(value)


def _number(node: Node) -> int | float:
    if node.type == "binary_expression":
        return _constant(node)
    source = text(node).replace("'", "").replace(" ", "")
    sign = -1 if source.startswith("-") else 1
    source = source.lstrip("+-")
    if source.startswith("(") and source.endswith(")"):
        source = source[1:-1]
    if match := _INTEGER.fullmatch(source):
        digits = match.group(1)
        if len(digits) > 1 and digits[0] == "0" and digits.isdigit():
            return sign * int(digits, 8)
        return sign * int(digits, 0)
    if _FLOAT.fullmatch(source):
        return sign * float(source.rstrip("fFlL"))
    raise NotConvertible(f"`{text(node)[:80]}` is not a number")


def _constant(node: Node) -> int | float:
    """A constant expression of numbers; whole numbers are not divided, which would round."""
    left, right = (_number(side) for side in _sides(node))
    operator = _operator(node)
    if operator == "/" and right != 0 and (isinstance(left, float) or isinstance(right, float)):
        return left / right
    if operator in ("+", "-", "*"):
        return left + right if operator == "+" else left - right if operator == "-" else left * right
    raise NotConvertible(f"`{text(node)[:80]}` is not a number")


def _unwrap(node: Node) -> Node:
    while node.type == "parenthesized_expression" and node.named_child_count == 1:
        node = node.named_children[0]
    return node


def _callee(node: Node) -> str:
    function = node.child_by_field_name("function") if node.type == "call_expression" else None
    return text(function) if function is not None else ""


def _arguments(node: Node) -> list[Node]:
    arguments = node.child_by_field_name("arguments")
    found = [c for c in arguments.named_children if c.type != "comment"] if arguments is not None else []
    if any(n.type == "ERROR" for n in walk(node)):
        raise NotConvertible(f"`{text(node)[:80]}` does not parse")
    return found


def _operator(node: Node) -> str:
    operator = node.child_by_field_name("operator")
    return text(operator) if operator is not None else ""


def _sides(node: Node) -> tuple[Node, Node]:
    left, right = node.child_by_field_name("left"), node.child_by_field_name("right")
    if left is None or right is None:
        raise NotConvertible(f"`{text(node)[:80]}` does not parse")
    return _unwrap(left), _unwrap(right)
