"""FunctionGemma's text format: prompts, declarations, calls and responses, written and read.

Belongs here: the format, in both directions. `parse(render(x)) == x` for every value that the format can
hold, and `parse` never raises: it returns what it could read and where it could not.
Does not belong here: which tools exist (`tools`), or how a model is made to write a call (`router`).

Format: Google's "FunctionGemma formatting and best practices": keys in alphabetical order, types in
upper case, every string between two `<escape>` marks, numbers and booleans bare.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cpp_pipeline.agent.tools import TOOLS, Call, Tool
from cpp_pipeline.corpus.formats import defuse

BOS, TURN, END_TURN, ESCAPE = "<bos>", "<start_of_turn>", "<end_of_turn>", "<escape>"
CALL, END_CALL = "<start_function_call>", "<end_function_call>"
RESPONSE, END_RESPONSE = "<start_function_response>", "<end_function_response>"
DECLARATION, END_DECLARATION = "<start_function_declaration>", "<end_function_declaration>"
TRIGGER = "You are a model that can do function calling with the following functions"
"""Without this sentence the published weights do not call functions."""

_BLOCKS = {
    "declaration": (DECLARATION, END_DECLARATION),
    "call": (CALL, END_CALL),
    "response": (RESPONSE, END_RESPONSE),
}
_START = re.compile(r"<start_function_(declaration|call|response(?=>response:))>")
"""A bare `<start_function_response>` is the model's stop token and opens nothing."""
_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NUMBER = re.compile(r"-?[0-9]{1,300}(?:\.[0-9]{1,300})?(?:[eE][+-]?[0-9]{1,3})?")
_MAX_DEPTH = 32


@dataclass(frozen=True)
class Block:
    """One declaration, call or response that was read; `offset` is its first character."""

    kind: str
    name: str
    arguments: Mapping[str, Any]
    offset: int


@dataclass(frozen=True)
class ParseError:
    """Where reading stopped, and what was expected there."""

    offset: int
    message: str


@dataclass(frozen=True)
class Parsed:
    """Everything that could be read from a text."""

    blocks: tuple[Block, ...]
    errors: tuple[ParseError, ...]

    @property
    def calls(self) -> list[Call]:
        """The calls, in order."""
        return [Call(b.name, b.arguments) for b in self.blocks if b.kind == "call"]


def render_value(value: Any) -> str:
    """One value.

    Raises
    ------
    ValueError
        For what the format cannot hold: a string with `<escape>` in it, NaN, infinity, None, other types.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        if ESCAPE in value:
            raise ValueError(f"a string may not contain {ESCAPE}; pass it through defuse() first")
        return f"{ESCAPE}{value}{ESCAPE}"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float) and math.isfinite(value):
        return repr(value)
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{_render_key(k)}:{render_value(v)}" for k, v in sorted(value.items())) + "}"
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return "[" + ",".join(render_value(v) for v in value) + "]"
    raise ValueError(f"FunctionGemma's format has no {type(value).__name__} such as {str(value)[:40]!r}")


def render_block(kind: str, name: str, arguments: Mapping[str, Any]) -> str:
    """A `declaration`, `call` or `response` between its marks."""
    if not _KEY.fullmatch(name):
        raise ValueError(f"{name!r} is not a function name: use letters, digits and _")
    start, end = _BLOCKS[kind]
    return f"{start}{kind}:{name}{render_value(arguments)}{end}"


def render_declaration(tool: Tool) -> str:
    """The declaration of a tool."""
    return render_block("declaration", tool.name, tool.schema())


def render_call(call: Call) -> str:
    """A call as the model writes it; it then stops at `<start_function_response>`."""
    return render_block("call", call.name, call.arguments)


def render_response(name: str, result: Mapping[str, Any]) -> str:
    """A tool's result as it is handed back to the model."""
    return render_block("response", name, result)


def render_prompt(user: str, tools: Iterable[Tool] = TOOLS) -> str:
    """Developer turn with the declarations, user turn, and the opening of the model's turn.

    Control tokens spelled in the user's text are broken up, so that it cannot open or close a turn.
    """
    declarations = "".join(render_declaration(t) for t in tools)
    return (
        f"{BOS}{TURN}developer\n{TRIGGER}{declarations}{END_TURN}\n{TURN}user\n{defuse(user)}{END_TURN}\n{TURN}model\n"
    )


def render_user(utterance: str, handles: Sequence[str]) -> str:
    """The user's turn: the request, then the handles of what is attached to it."""
    return f"{utterance}\nAttached: {' '.join(handles)}"


def parse(text: str) -> Parsed:
    """Read every declaration, call and response in `text`. Never raises."""
    blocks: list[Block] = []
    errors: list[ParseError] = []
    at = 0
    while found := _START.search(text, at):
        kind = found.group(1)
        reader = _Reader(text, found.end())
        try:
            name, arguments = reader.block(kind)
            blocks.append(Block(kind, name, arguments, found.start()))
        except _Unreadable as e:
            errors.append(ParseError(reader.at, str(e)))
        at = reader.at
    return Parsed(tuple(blocks), tuple(errors))


def _render_key(key: object) -> str:
    if not isinstance(key, str):
        raise ValueError(f"keys are strings, not {type(key).__name__}")
    return key if _KEY.fullmatch(key) else render_value(key)


class _Unreadable(Exception):
    """What was expected at the reader's offset."""


class _Reader:
    """Recursive descent over `kind:NAME{key:value,...}`; `at` is the offset of the next character."""

    def __init__(self, text: str, at: int) -> None:
        self.text, self.at = text, at

    def block(self, kind: str) -> tuple[str, dict[str, Any]]:
        self.expect(f"{kind}:")
        name = self.match(_KEY, "a function name")
        arguments = self.mapping(0)
        self.expect(_BLOCKS[kind][1])
        return name, arguments

    def expect(self, literal: str) -> None:
        if not self.text.startswith(literal, self.at):
            raise _Unreadable(f"expected {literal!r}, found {self.text[self.at : self.at + 20]!r}")
        self.at += len(literal)

    def take(self, literal: str) -> bool:
        found = self.text.startswith(literal, self.at)
        self.at += len(literal) if found else 0
        return found

    def match(self, pattern: re.Pattern[str], what: str) -> str:
        m = pattern.match(self.text, self.at)
        if not m:
            raise _Unreadable(f"expected {what}, found {self.text[self.at : self.at + 20]!r}")
        self.at = m.end()
        return m.group()

    def string(self) -> str:
        end = self.text.find(ESCAPE, self.at)
        if end < 0:
            raise _Unreadable(f"a string is not closed by {ESCAPE}")
        value, self.at = self.text[self.at : end], end + len(ESCAPE)
        return value

    def value(self, depth: int) -> Any:
        if depth > _MAX_DEPTH:
            raise _Unreadable(f"nested deeper than {_MAX_DEPTH}")
        if self.take(ESCAPE):
            return self.string()
        for word, value in (("true", True), ("false", False)):
            if self.take(word):
                return value
        if self.text.startswith("{", self.at):
            return self.mapping(depth)
        if self.take("["):
            return self.items(depth)
        number = self.match(_NUMBER, "a value")
        return float(number) if any(c in number for c in ".eE") else int(number)

    def items(self, depth: int) -> list[Any]:
        if self.take("]"):
            return []
        out = [self.value(depth + 1)]
        while self.take(","):
            out.append(self.value(depth + 1))
        self.expect("]")
        return out

    def mapping(self, depth: int) -> dict[str, Any]:
        self.expect("{")
        if self.take("}"):
            return {}
        out: dict[str, Any] = {}
        while True:
            key = self.string() if self.take(ESCAPE) else self.match(_KEY, "a key")
            if key in out:
                raise _Unreadable(f"key {key!r} occurs twice")
            self.expect(":")
            out[key] = self.value(depth + 1)
            if not self.take(","):
                break
        self.expect("}")
        return out
