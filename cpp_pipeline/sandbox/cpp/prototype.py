"""C++ function prototypes: what is called, with what, and what comes back.

Belongs here: reading a prototype. Not here: types (`cpptypes`), the preamble's structs (`structs`), values (`values`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cpp_pipeline.sandbox.cpp.cpptypes import INTEGERS, CppType, TypeReader, split
from cpp_pipeline.sandbox.cpp.structs import Structs

__all__ = ["INTEGERS", "CppType", "Passing", "Prototype", "parse_prototype", "parse_signature"]

Passing = Literal["value", "const &", "&", "&&", "view", "text"]
"""How a parameter is taken; "view" is a std::string_view, "text" a const char*, both with values of std::string."""
_QUALIFIERS = {"inline", "static", "constexpr", "extern"}
_STRING = CppType("std::string")
VOID = CppType("void")


@dataclass(frozen=True)
class Prototype:
    """A function. `params` are (type, name) without references and const, `passing` says how each is taken.

    `text` is the prototype as it was given; `return_type` has the name `void` where nothing comes back.
    """

    name: str
    return_type: CppType
    params: tuple[tuple[CppType, str], ...]
    passing: tuple[Passing, ...] = ()
    text: str = ""

    @property
    def references(self) -> tuple[bool, ...]:
        """For each parameter whether it is a non-const lvalue reference, whose value is copied back."""
        return tuple(how == "&" for how in self.passing)

    @property
    def reference_types(self) -> tuple[CppType, ...]:
        """Types of the parameters that are copied back, in order."""
        return tuple(kind for (kind, _), back in zip(self.params, self.references, strict=True) if back)


def parse_prototype(text: str, preamble: str = "") -> Prototype:
    """Parse `std::vector<int> f(const std::string& s, int k)`; a trailing `{` or `;` is ignored.

    Structs and aliases of types are looked up in `preamble`.

    Raises
    ------
    ValueError
        Naming the prototype and what in it is not supported.
    """
    label = f"signature {text.strip()!r:.300}"
    try:
        found, directives = split(text.strip().rstrip("{;"))
    except ValueError as error:
        raise ValueError(f"{label}: {error}") from error
    if directives:
        raise ValueError(f"{label}: preprocessor lines belong into the preamble")
    return _PrototypeReader(found, label, Structs(preamble).find).prototype(text)


def parse_signature(text: str) -> Prototype:
    """As `parse_prototype`, for functions that return a value and need no preamble."""
    prototype = parse_prototype(text)
    if prototype.return_type == VOID:
        raise ValueError(
            f"signature {text.strip()!r}: it returns nothing, and only a returned value can be tested here"
        )
    return prototype


class _PrototypeReader(TypeReader):
    def prototype(self, text: str) -> Prototype:
        self.skip(_QUALIFIERS)
        returned = self._returned()
        name = self.identifier()
        self.expect("(")
        params: list[tuple[CppType, str]] = []
        passing: list[Passing] = []
        if self.tokens[self.at : self.at + 2] == ["void", ")"]:
            self.take()
        more = self.peek() != ")"
        while more:
            kind, how = self._parameter()
            passing.append(how)
            params.append((kind, self._parameter_name(len(params))))
            if self.peek() == "=":
                raise self.fail("default arguments are not supported; leave them out")
            more = self.accept(",")
        self.expect(")")
        self.skip({"noexcept", "const"})
        if self.peek():
            raise self.fail(f"unexpected {self.peek()!r} after the parameters")
        return Prototype(name, returned, tuple(params), tuple(passing), text)

    def _returned(self) -> CppType:
        if self.accept("void"):
            return VOID
        kind = self.type()
        self.skip({"&"})
        return kind

    def _parameter(self) -> tuple[CppType, Passing]:
        if self._is_view():
            return _STRING, "view"
        kind, const = self.qualified()
        if kind.name == "char" and const and self.accept("*"):
            self.skip({"const"})
            return _STRING, "text"
        if self.accept("&"):
            return kind, "const &" if const else "&"
        if self.accept("&&"):
            return kind, "&&"
        return kind, "value"

    def _is_view(self) -> bool:
        """Whether a std::string_view comes next, which is then taken."""
        start = self.at
        const = self.skip({"const"})
        if self.tokens[self.at : self.at + 2] == ["std", "::"]:
            self.at += 2
        if not self.accept("string_view"):
            self.at = start
            return False
        const = self.skip({"const"}) or const
        if const:
            self.skip({"&"})
        return True

    def _parameter_name(self, position: int) -> str:
        return f"arg{position}" if self.peek() in (",", ")") else self.identifier()
