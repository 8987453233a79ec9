"""C++ function signatures and the value types that can cross the sandbox's pipe.

Belongs here: parsing of signatures into types. Not here: values of those types (`values`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_TOKEN = re.compile(r"\s*(::|&&|[A-Za-z_]\w*|[<>,()&*=\[\]{}]|\S)")
_QUALIFIERS = {"inline", "static", "constexpr", "extern"}
_INT_WORDS = {"int", "long", "short", "unsigned", "signed", "char"}
_FIXED = {f"{u}int{n}_t" for u in ("", "u") for n in (8, 16, 32, 64)}
_ONE = {"vector", "set", "optional"}
_TWO = {"pair", "map", "unordered_map"}
_KEYWORDS = {"if", "for", "while", "return", "switch", "else", "do", "new", "delete", "auto", "const", "void"}
_MAX_DEPTH = 16
# (bits, signed) on the platforms where the judge runs (LP64)
INTEGERS: dict[str, tuple[int, bool]] = {
    "short": (16, True),
    "unsigned short": (16, False),
    "int": (32, True),
    "unsigned int": (32, False),
    "long": (64, True),
    "unsigned long": (64, False),
    "long long": (64, True),
    "unsigned long long": (64, False),
    "signed char": (8, True),
    "unsigned char": (8, False),
    "std::size_t": (64, False),
    **{f"std::{name}": (int(re.sub(r"\D", "", name)), not name.startswith("u")) for name in sorted(_FIXED)},
}


@dataclass(frozen=True)
class CppType:
    """A value type: `name` is canonical (`std::vector`, `unsigned int`), `args` are its template arguments."""

    name: str
    args: tuple[CppType, ...] = ()

    def __str__(self) -> str:
        return f"{self.name}<{', '.join(map(str, self.args))}>" if self.args else self.name


@dataclass(frozen=True)
class Prototype:
    """A parsed signature; `params` are (type, name) with references and const taken off."""

    name: str
    return_type: CppType
    params: tuple[tuple[CppType, str], ...]


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = _TOKEN.findall(text)
        self.at = 0

    def fail(self, what: str) -> ValueError:
        return ValueError(f"signature {self.text.strip()!r}: {what}")

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self) -> str:
        token = self.peek()
        if not token:
            raise self.fail("ends too early")
        self.at += 1
        return str(token)

    def expect(self, token: str) -> None:
        found = self.take()
        if found != token:
            raise self.fail(f"expected {token!r}, found {found!r}")

    def skip(self, words: set[str]) -> None:
        while self.peek() in words:
            self.at += 1

    def type(self, depth: int = 0) -> CppType:
        if depth > _MAX_DEPTH:
            raise self.fail("type is nested too deeply")
        self.skip({"const"})
        found = self.integer() if self.peek() in _INT_WORDS else self.named(depth)
        self.skip({"const"})
        return found

    def integer(self) -> CppType:
        words: list[str] = []
        while self.peek() in _INT_WORDS:
            words.append(self.take())
        if self.peek() == "double":
            raise self.fail("type 'long double' is not supported")
        unsigned = "unsigned" in words
        if "char" in words:
            name = "unsigned char" if unsigned else "signed char" if "signed" in words else "char"
        else:
            size = "short" if "short" in words else "long " * words.count("long") or "int"
            name = ("unsigned " if unsigned else "") + size.strip()
        if name not in INTEGERS and name != "char":
            raise self.fail(f"unknown type {' '.join(words)!r}")
        return CppType(name)

    def named(self, depth: int) -> CppType:
        word = self.take()
        if word == "std":
            self.expect("::")
            word = self.take()
        if word in ("bool", "float", "double"):
            return CppType(word)
        if word == "size_t" or word in _FIXED or word == "string":
            return CppType(f"std::{word}")
        if word not in _ONE | _TWO | {"tuple"}:
            raise self.fail(f"type {word!r} is not supported")
        self.expect("<")
        args = [self.type(depth + 1)]
        while self.peek() == ",":
            self.take()
            args.append(self.type(depth + 1))
        self.expect(">")
        wanted = 1 if word in _ONE else 2 if word in _TWO else len(args)
        if len(args) != wanted:
            raise self.fail(f"std::{word} takes {wanted} type argument(s), found {len(args)}")
        return CppType(f"std::{word}", tuple(args))

    def identifier(self) -> str:
        name = self.take()
        if not re.fullmatch(r"[A-Za-z_]\w*", name) or name in _KEYWORDS | _INT_WORDS:
            raise self.fail(f"expected a name, found {name!r}")
        return name

    def parameters(self) -> list[tuple[CppType, str]]:
        params: list[tuple[CppType, str]] = []
        if self.peek() == ")":
            return params
        while True:
            kind = self.type()
            self.skip({"&"})
            if self.peek() in ("*", "&&", "["):
                raise self.fail("pointers, arrays and rvalue references are not supported")
            name = self.identifier() if self.peek() not in (",", ")") else f"arg{len(params)}"
            if self.peek() != ",":
                return [*params, (kind, name)]
            params.append((kind, name))
            self.take()


def parse_signature(text: str) -> Prototype:
    """Parse `std::vector<int> f(const std::string& s, int k)`; a trailing `{` or `;` is ignored.

    Raises
    ------
    ValueError
        Naming the signature and what in it is not supported.
    """
    parser = _Parser(text.strip().rstrip("{;").rstrip())
    parser.skip(_QUALIFIERS)
    return_type = parser.type()
    parser.skip({"&"})
    name = parser.identifier()
    parser.expect("(")
    params = parser.parameters()
    parser.expect(")")
    parser.skip({"noexcept", "const"})
    if parser.peek():
        raise parser.fail(f"unexpected {parser.peek()!r} after the parameters")
    return Prototype(name, return_type, tuple(params))
