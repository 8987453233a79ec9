"""Which texts may come next in a call: tools, keys, values, up to the next control token.

Belongs here: the grammar of a call as choices between whole segments. Does not belong here: the model that
chooses (`router`), the format's reader (`functiongemma`).

A segment ends in a control token, and control tokens are always tokens of their own. So the tokens of a call
are the tokens of its segments one after the other, with any tokenizer, and no choice is the start of another.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Literal

from cpp_pipeline.agent import router_phrases as words
from cpp_pipeline.agent.functiongemma import END_CALL, ESCAPE
from cpp_pipeline.agent.tools import BY_NAME, GENERATE_CMAKE, REQUEST, TOOLS, Parameter

MAX_ITEMS = 8
MAX_WORDS = 64
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_+.-]*")
_STANDARD = re.compile(r"[Cc]\+\+[0-9]*")
_NUMBER = re.compile(r"(?<![\w.])[0-9]{1,6}(?![\w.]*[A-Za-z_])")


@cache
def _fillers() -> frozenset[str]:
    """The words of the training phrasings for CMake, in lower case, slots left out."""
    texts = [
        *words.TRAIN[GENERATE_CMAKE],
        *words.WORDS["{make}"],
        *words.WORDS["{cmake}"],
        *words.FILES,
        *words.DEPS_TRAIN,
        *words.STD_TRAIN,
        *words.COURTESY_TRAIN,
        "and it its this that they them these those with named",
    ]
    plain = (re.sub(r"\{\w+\}", " ", t) for t in texts)
    return frozenset(w.rstrip(".-").lower() for t in plain for w in _WORD.findall(t))


@dataclass(frozen=True)
class State:
    """Where a call stands: which tool, which parameter, and what was just written.

    `items` are the elements of the array that is being written.
    """

    tool: str = ""
    parameter: int = 0
    place: Literal["start", "string", "array", "after_item", "after_value", "done"] = "start"
    items: tuple[str, ...] = ()


@dataclass(frozen=True)
class Choice:
    """A segment that may come next, and the state after it."""

    text: str
    state: State


@dataclass(frozen=True)
class Request:
    """What the values of a call can be taken from."""

    utterance: str
    handles: tuple[str, ...]

    @property
    def words(self) -> list[str]:
        """Words of the request that could be names, in order, without repeats.

        Words that requests for CMake files are made of are no names, unless there is no other word.
        """
        found = [w.rstrip(".-") for w in _WORD.findall(self.utterance)]
        names = [w for w in found if w.lower() not in _fillers() and not _STANDARD.fullmatch(w)]
        return list(dict.fromkeys(names or found))[:MAX_WORDS]

    def numbers(self, p: Parameter) -> list[int]:
        """Whole numbers of the request that the parameter allows."""
        found = dict.fromkeys(int(n) for n in _NUMBER.findall(self.utterance))
        low = p.minimum if p.minimum is not None else 0
        return [n for n in found if n >= low and (p.maximum is None or n <= p.maximum)]

    def values(self, p: Parameter) -> list[str]:
        """Strings that the parameter may hold; empty only for an optional one, which is then left out."""
        if p.fill == "enum":
            return list(p.enum)
        if p.fill == "mentioned":
            named = re.findall(r"[A-Za-z]+|[0-9]+", self.utterance)
            return [v for v in p.enum if v in named]
        found = self.words if p.fill == "word" else [h for h in p.handles if h in self.handles]
        return found or ([REQUEST] if p.required else [])


def choices(state: State, request: Request) -> list[Choice]:
    """The segments that may come next; empty only when the call is done."""
    if state.place == "start":
        return [Choice(f"call:{t.name}{{{text}", after) for t in TOOLS for text, after in _keys(t.name, 0, "", request)]
    if state.place == "done":
        return []
    p = BY_NAME[state.tool].parameters[state.parameter]
    if state.place == "after_value":
        return [Choice(text, after) for text, after in _keys(state.tool, state.parameter + 1, ",", request)]
    if state.place == "after_item":
        out = [Choice("]" + text, after) for text, after in _keys(state.tool, state.parameter + 1, ",", request)]
        if len(state.items) < MAX_ITEMS and set(request.values(p)) - set(state.items):
            out.append(Choice(f",{ESCAPE}", State(state.tool, state.parameter, "array", state.items)))
        return out
    return [_value(state, v) for v in request.values(p) if v not in state.items]


def _value(state: State, value: str) -> Choice:
    if state.place == "array":
        after = State(state.tool, state.parameter, "after_item", (*state.items, value))
    else:
        after = State(state.tool, state.parameter, "after_value")
    return Choice(value + ESCAPE, after)


def _keys(tool: str, first: int, separator: str, request: Request) -> Iterator[tuple[str, State]]:
    """Texts from a key to the next control token; numbers have none around them and are written through."""
    parameters = BY_NAME[tool].parameters
    for i in range(first, len(parameters)):
        p = parameters[i]
        if p.kind != "INTEGER" and not request.values(p):
            continue
        head = f"{separator}{p.name}:"
        if p.kind == "STRING":
            yield head + ESCAPE, State(tool, i, "string")
        elif p.kind == "ARRAY":
            yield f"{head}[{ESCAPE}", State(tool, i, "array")
        else:
            for n in request.numbers(p):
                for text, after in _keys(tool, i + 1, ",", request):
                    yield f"{head}{n}{text}", after
        if p.required or (p.handles and request.values(p)):
            return
    yield "}" + END_CALL, State(tool, len(parameters), "done")
