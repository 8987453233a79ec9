"""Structs and aliases of types that a preamble defines.

Belongs here: which structs can cross the pipe, and why others cannot. Such a struct has public data members of
supported types and nothing else, so that its value is the values of its members. Not here: types (`cpptypes`).
"""

from __future__ import annotations

import re

from cpp_pipeline.sandbox.cpp.cpptypes import MAX_DEPTH, CppType, TypeReader, split

_MAY_DEFINE = r"\b(?:struct|class|using)\s+{0}\b|\b{0}\s*;"
_CONDITIONS = {"if", "ifdef", "ifndef", "elif", "else", "endif"}
_BRACKETS = {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}
_REFUSED = {
    "private": "private members",
    "protected": "protected members",
    "static": "static members",
    "virtual": "virtual functions",
    "operator": "operators",
    "friend": "friends",
    "explicit": "constructors",
    "constexpr": "functions or static members",
    "inline": "functions or static members",
    "void": "member functions",
    "~": "a destructor",
    "template": "templates",
    "using": "names of its own",
    "typedef": "names of its own",
    "enum": "types of its own",
    "union": "a union",
    "mutable": "mutable members",
    "volatile": "volatile members",
    "alignas": "an alignment of its own",
}


class Structs:
    """Looks up the types that one preamble defines at its top level."""

    def __init__(self, preamble: str) -> None:
        self.preamble = preamble
        self._known: dict[str, CppType] = {}
        self._open: list[str] = []
        self._places: dict[str, int] | None = None
        self._tokens: list[str] = []
        self._macros: set[str] = set()

    def find(self, name: str) -> CppType | None:
        """The type that `name` stands for; None when the preamble does not define it.

        Raises
        ------
        ValueError
            The preamble defines it in a way that cannot cross the pipe; the message says why.
        """
        if name in self._known or not re.search(_MAY_DEFINE.format(re.escape(name)), self.preamble):
            return self._known.get(name)
        if self._places is None:
            self._places = self._index()
        at = self._places.get(name)
        if at is None:
            return None
        if name in self._open:
            raise ValueError(f"{name} of the preamble contains itself, which no value here can")
        if len(self._open) > MAX_DEPTH:
            raise ValueError(f"{self._open[0]} of the preamble is nested deeper than {MAX_DEPTH} levels")
        self._open.append(name)
        reader = _Members(self._tokens, f"{name} of the preamble", self.find)
        reader.at = at
        is_struct = self._tokens[at - 1] in ("struct", "class")
        found = reader.struct(name, self._macros) if is_struct else reader.alias(name)
        self._open.pop()
        self._known[name] = found
        return found

    def _index(self) -> dict[str, int]:
        """Where each definition at the top level begins: a struct at its name, an alias at its type."""
        try:
            self._tokens, directives = split(self.preamble)
        except ValueError as error:
            raise ValueError(f"no type can be read from the preamble: {error}") from error
        words = [directive.lstrip("# ").split(maxsplit=1) for directive in directives]
        if any(word[0] in _CONDITIONS for word in words if word):
            raise ValueError("no type can be read from the preamble: it has #if, which is not evaluated here")
        self._macros = {re.split(r"\W", rest)[0] for word, *more in words for rest in more if word == "define"}
        places: dict[str, int] = {}
        level, alias = 0, 0
        for at, token in enumerate(self._tokens):
            level += _BRACKETS.get(token, 0)
            rest = self._tokens[at + 1 : at + 3]
            if level or len(rest) < 2:
                continue
            enum = at > 0 and self._tokens[at - 1] == "enum"
            if token in ("struct", "class") and rest[1] in ("{", ":", "final") and not enum:
                places[rest[0]] = at + 1
            elif token == "using" and rest[1] == "=":
                places[rest[0]] = at + 3
            elif token == "typedef":
                alias = at + 1
            elif alias and rest[1] == ";":
                places[rest[0]], alias = alias, 0
        return places


class _Members(TypeReader):
    def alias(self, name: str) -> CppType:
        """The type that is next, alone or with the alias behind it."""
        found = self.type()
        self.skip({name})
        if self.peek() != ";":
            raise self.fail(f"stands for more than {found}, which is not supported")
        return found

    def struct(self, name: str, macros: set[str]) -> CppType:
        """The struct whose name is next."""
        if self.at > 1 and self.tokens[self.at - 2] == ">":
            raise self.fail("is a template, which is not supported")
        self.take()
        if self.peek() != "{":
            raise self.fail("has a base or is final; only plain aggregates are supported")
        public = self.tokens[self.at - 2] == "struct"
        self.take()
        members: dict[str, CppType] = {}
        while self.peek() != "}":
            if self.accept("public"):
                self.expect(":")
                public = True
            elif not self.skip({";"}):
                if not public:
                    raise self.fail("has private members; only plain aggregates are supported")
                self._declaration(name, members, macros)
        if not members:
            raise self.fail("has no members, and so no value")
        return CppType(name, tuple(members.values()), tuple(members))

    def _declaration(self, name: str, members: dict[str, CppType], macros: set[str]) -> None:
        first = self.peek()
        if first in macros:
            raise self.fail(f"uses the macro {first}, which is not expanded here")
        why = _REFUSED.get(first) or ("constructors" if first == name and self.tokens[self.at + 1] == "(" else "")
        if why:
            raise self.fail(f"has {why}; only plain aggregates are supported")
        kind, const = self.qualified()
        if const:
            raise self.fail("has const members, which cannot be set")
        while True:
            if self.peek() == "operator":
                raise self.fail("has operators; only plain aggregates are supported")
            member = self.identifier()
            if self.peek() in ("(", "[", ":"):
                what = {"(": "member functions", "[": "C arrays (use std::array)", ":": "bit fields"}[self.peek()]
                raise self.fail(f"has {what}; only plain aggregates are supported")
            members[member] = kind
            self._skip_initialiser()
            if self.take() == ";":
                return

    def _skip_initialiser(self) -> None:
        level = 0
        while level or self.peek() not in (",", ";", ""):
            level += _BRACKETS.get(self.take(), 0)
