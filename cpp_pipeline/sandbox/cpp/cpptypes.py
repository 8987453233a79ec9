"""The C++ value types that can cross the sandbox's pipe, and reading one from its text.

Belongs here: types, and which of them are refused. Not here: functions (`prototype`), definitions of structs
(`structs`), values (`values`).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from cpp_pipeline.sandbox.cpp.lexer import pieces

MAX_DEPTH = 16
"""Levels of types inside each other."""
MAX_WIDTH = 4096
"""Values that one object may hold without a container in between; such objects live on the stack."""
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
    "std::ptrdiff_t": (64, True),
    **{f"std::int{bits}_t": (bits, True) for bits in (8, 16, 32, 64)},
    **{f"std::uint{bits}_t": (bits, False) for bits in (8, 16, 32, 64)},
}
FLOATS = ("float", "double", "long double")
SEQUENCES = ("std::vector", "std::deque", "std::list")
SETS = ("std::set", "std::multiset", "std::unordered_set")
MAPS = ("std::map", "std::multimap", "std::unordered_map")
REPEATING = ("std::multiset", "std::multimap")
"""Those of the sets and maps in which a key may occur more than once."""
PRODUCTS = ("std::pair", "std::tuple")
SUPPORTED = (
    "bool, char, integers up to 64 bits, float, double, long double, std::string, std::vector, std::array, std::deque, "
    "std::list, std::set, std::multiset, std::unordered_set, std::map, std::multimap, std::unordered_map, std::pair, "
    "std::tuple, std::optional, and structs of the preamble with nothing but such members"
)
_INT_WORDS = {"int", "long", "short", "unsigned", "signed", "char"}
_ARGUMENTS = {
    **dict.fromkeys((*SEQUENCES, *SETS, "std::optional"), 1),
    **dict.fromkeys((*MAPS, "std::pair", "std::array"), 2),
}
_NAME = re.compile(r"[A-Za-z_]\w*")
_LENGTH = re.compile(r"(0[xX][0-9a-fA-F']+|[1-9][0-9']*)[uUlLzZ]*")
_KEYWORDS = {
    *("alignas", "auto", "const", "constexpr", "decltype", "delete", "do", "else", "enum", "explicit", "for", "friend"),
    *("if", "inline", "mutable", "new", "operator", "private", "protected", "public", "return", "static", "switch"),
    *("template", "this", "typedef", "union", "using", "virtual", "void", "volatile", "while", "class", "struct"),
    *(*_INT_WORDS, "bool", "float", "double"),
}


@dataclass(frozen=True)
class CppType:
    """A value type.

    `name` is canonical (`std::vector`, `unsigned int`, or that of a struct), `args` are the template arguments or
    the types of the members `fields`, `size` is the length of a std::array. `depth` counts levels of types below
    this one, `width` the values that an object holds without a container in between.
    """

    name: str
    args: tuple[CppType, ...] = ()
    fields: tuple[str, ...] = ()
    size: int = 0
    depth: int = field(init=False, compare=False, repr=False)
    width: int = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "depth", 1 + max((a.depth for a in self.args), default=-1))
        inside = sum(a.width for a in self.args)
        if self.name == "std::array":
            width = inside * self.size
        elif self.fields or self.name in PRODUCTS:
            width = inside
        else:
            width = inside + 1 if self.name == "std::optional" else 1
        object.__setattr__(self, "width", width)

    def __str__(self) -> str:
        if self.fields or not self.args:
            return self.name
        inner = ", ".join(map(str, self.args))
        return f"{self.name}<{inner}, {self.size}>" if self.size else f"{self.name}<{inner}>"

    @functools.cached_property
    def element(self) -> CppType:
        """What one element of a container is; a key and its value for a map."""
        return CppType("std::pair", self.args) if self.name in MAPS else self.args[0]


def split(text: str) -> tuple[list[str], list[str]]:
    """Tokens of C++ text, `>` always alone, and its preprocessor lines.

    Raises
    ------
    ValueError
        It is not certain to be read right.
    """
    found = pieces(text)
    code = [p.text for p in found if p.kind != "directive"]
    return [part for token in code for part in (token if token.startswith(">") else [token])], [
        p.text for p in found if p.kind == "directive"
    ]


class TypeReader:
    """Reads types from tokens. `structs` gives the type of a name that the preamble defines, or None."""

    def __init__(self, found: Sequence[str], label: str, structs: Callable[[str], CppType | None]) -> None:
        self.tokens, self.label, self.structs = found, label, structs
        self.at = 0

    def fail(self, what: str) -> ValueError:
        """The error to raise."""
        return ValueError(f"{self.label}: {what}")

    def peek(self) -> str:
        """Next token, "" at the end."""
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self) -> str:
        """Next token, which is then behind us."""
        token = self.peek()
        if not token:
            raise self.fail("ends too early")
        self.at += 1
        return token

    def expect(self, token: str) -> None:
        """Take the token that has to be next."""
        found = self.take()
        if found != token:
            raise self.fail(f"expected {token!r}, found {found!r}")

    def accept(self, token: str) -> bool:
        """Take the next token if it is this one; true when it was."""
        return self.peek() == token and bool(self.take())

    def skip(self, words: Collection[str]) -> bool:
        """Take what is next as long as it is one of `words`; true when anything was."""
        start = self.at
        while self.peek() in words:
            self.at += 1
        return self.at > start

    def identifier(self) -> str:
        """A name that is no keyword."""
        name = self.take()
        if name in ("*", "[", "&", "&&"):
            raise self.fail(f"{name!r} is not supported here; pointers and C arrays never are")
        if not _NAME.fullmatch(name) or name in _KEYWORDS:
            raise self.fail(f"expected a name, found {name!r}")
        return name

    def type(self, nesting: int = 0) -> CppType:
        """A type without references; `const` around it is dropped."""
        return self.qualified(nesting)[0]

    def qualified(self, nesting: int = 0) -> tuple[CppType, bool]:
        """A type, and whether it is const."""
        if nesting > MAX_DEPTH:
            raise self.fail(f"types are nested deeper than {MAX_DEPTH} levels")
        const = self.skip({"const"})
        found = self._integer() if self.peek() in _INT_WORDS else self._named(nesting)
        const = self.skip({"const"}) or const
        if found.depth > MAX_DEPTH:
            raise self.fail(f"type {found} is nested deeper than {MAX_DEPTH} levels")
        if found.width > MAX_WIDTH:
            raise self.fail(f"type {found} holds more than {MAX_WIDTH} values in one object; use std::vector")
        return found, const

    def _integer(self) -> CppType:
        words: list[str] = []
        while self.peek() in _INT_WORDS:
            words.append(self.take())
        if words == ["long"] and self.peek() == "double":
            return CppType(f"long {self.take()}")
        unsigned = "unsigned" in words
        if "char" in words:
            name = "unsigned char" if unsigned else "signed char" if "signed" in words else "char"
        else:
            size = "short" if "short" in words else "long " * words.count("long") or "int"
            name = ("unsigned " if unsigned else "") + size.strip()
        if name not in INTEGERS and name != "char":
            raise self.fail(f"unknown type {' '.join(words)!r}")
        return CppType(name)

    def _named(self, nesting: int) -> CppType:
        self.skip({"::", "struct", "class", "typename"})
        word = self.take()
        if word == "std" and self.accept("::"):
            word = self.take()
        elif (found := self.structs(word)) is not None:
            return found
        if word in ("bool", *FLOATS):
            return CppType(word)
        name = f"std::{word}"
        if name in INTEGERS or name == "std::string":
            return CppType(name)
        if name not in _ARGUMENTS and name != "std::tuple":
            raise self.fail(f"type {word!r} is not supported; supported are {SUPPORTED}")
        self.expect("<")
        return self._container(name, nesting + 1)

    def _container(self, name: str, nesting: int) -> CppType:
        args, size = [self.type(nesting)], 0
        while self.accept(","):
            if name == "std::array" and not size:
                size = self._length()
            else:
                args.append(self.type(nesting))
        self.expect(">")
        wanted, found = _ARGUMENTS.get(name, len(args)), len(args) + bool(size)
        if found != wanted:
            raise self.fail(
                f"{name} takes {wanted} argument(s), found {found}; others than the default are not supported"
            )
        kind = CppType(name, tuple(args), size=size)
        if name in SETS + MAPS:
            self._check_key(kind)
        return kind

    def _length(self) -> int:
        match = _LENGTH.fullmatch(self.take())
        if match is None:
            raise self.fail("the length of std::array has to be a number above 0")
        return int(match[1].replace("'", ""), 0)

    def _check_key(self, kind: CppType) -> None:
        key = kind.args[0]
        if kind.name.startswith("std::unordered_"):
            if key.args and key.name != "std::optional":
                raise self.fail(f"{key} has no std::hash and cannot be a key of {kind.name}")
        elif not _ordered(key):
            raise self.fail(f"{key} has no operator< and cannot be a key of {kind.name}")


def _ordered(kind: CppType) -> bool:
    return not kind.fields and not kind.name.startswith("std::unordered_") and all(map(_ordered, kind.args))
