"""The four tools of the agent as data, and the check of a call against them.

Belongs here: names, parameters, what the router may fill a parameter with, coercion and its errors.
Does not belong here: how a call is written down (`functiongemma`) or carried out (`orchestrator`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["STRING", "INTEGER", "ARRAY"]
Fill = Literal["handle", "word", "enum", "mentioned", "number"]
"""Where the router finds a value: the handle of an attachment, a word of the request, a closed set, a member
of a closed set that the request mentions, a number of the request. It never writes code or free text."""
REQUEST, CODE, TESTS, ERROR = "$request", "$code", "$tests", "$error"
SIGNATURE, SPECIFICATION, FILES = "$signature", "$specification", "$files"
HANDLES = (REQUEST, CODE, TESTS, ERROR, SIGNATURE, SPECIFICATION, FILES)
"""Every handle with a meaning of its own; `$request`, the user's own words, is always there."""

MAX_INTEGER_DIGITS = 15


@dataclass(frozen=True)
class Parameter:
    """One parameter; `minimum` and `maximum` bound integers, `enum` closes strings.

    `handles` are the attachments that fit, the best first. An optional parameter with handles is given exactly
    when one of them is attached; a required one falls back to `$request`.
    """

    name: str
    kind: Kind
    description: str
    fill: Fill
    required: bool = False
    default: str | int | None = None
    enum: tuple[str, ...] = ()
    minimum: int | None = None
    maximum: int | None = None
    handles: tuple[str, ...] = ()

    def schema(self) -> dict[str, Any]:
        """The parameter as FunctionGemma declares it (upper-case types)."""
        out: dict[str, Any] = {"description": self.description, "type": self.kind}
        if self.enum:
            out["enum"] = list(self.enum)
        if self.kind == "ARRAY":
            out["items"] = {"type": "STRING"}
        return out


@dataclass(frozen=True)
class Tool:
    """One tool; parameters in alphabetical order, as they are rendered."""

    name: str
    description: str
    parameters: tuple[Parameter, ...]

    def schema(self) -> dict[str, Any]:
        """Description and parameters in the layout of a FunctionGemma declaration."""
        parameters: dict[str, Any] = {"type": "OBJECT"}
        if self.parameters:
            parameters["properties"] = {p.name: p.schema() for p in self.parameters}
            parameters["required"] = [p.name for p in self.parameters if p.required]
        return {"description": self.description, "parameters": parameters}


@dataclass(frozen=True)
class Call:
    """A tool's name and its arguments; not yet validated."""

    name: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True)
class ValidCall:
    """A call that fits its tool: defaults filled in, unknown keys taken out with a warning each."""

    name: str
    arguments: Mapping[str, Any]
    warnings: tuple[str, ...] = ()


class ToolError(ValueError):
    """A call that does not fit; the message lists every problem and what would be right."""


GENERATE_CODE, GENERATE_CMAKE = "generate_code", "generate_cmake"
EXECUTE_CODE, ANALYZE_CODE = "execute_code", "analyze_code"
NO_TOOL = "none"

TOOLS: tuple[Tool, ...] = (
    Tool(
        GENERATE_CODE,
        "Write a C++ function",
        (
            Parameter("num_samples", "INTEGER", "how many", "number", default=1, minimum=1, maximum=32),
            Parameter("signature", "STRING", "prototype", "handle", handles=(SIGNATURE,)),
            Parameter(
                "specification",
                "STRING",
                "task",
                "handle",
                required=True,
                handles=(REQUEST, SPECIFICATION),
            ),
        ),
    ),
    Tool(
        GENERATE_CMAKE,
        "Write a CMakeLists.txt",
        (
            Parameter(
                "cpp_standard",
                "STRING",
                "standard",
                "mentioned",
                default="20",
                enum=("11", "14", "17", "20", "23"),
            ),
            Parameter("dependencies", "ARRAY", "packages", "word"),
            Parameter("project_name", "STRING", "name", "word", required=True),
            Parameter("source_files", "ARRAY", "sources", "handle", required=True, handles=(FILES,)),
        ),
    ),
    Tool(
        EXECUTE_CODE,
        "Compile and run C++ code",
        (
            Parameter("code", "STRING", "program", "handle", required=True, handles=(CODE,)),
            Parameter("test_cases", "STRING", "tests", "handle", handles=(TESTS,)),
            Parameter("timeout", "INTEGER", "seconds", "number", default=10, minimum=1, maximum=60),
        ),
    ),
    Tool(
        ANALYZE_CODE,
        "Find problems in C++ code",
        (
            Parameter(
                "analysis_type",
                "STRING",
                "aim",
                "enum",
                required=True,
                enum=("bugs", "performance", "style"),
            ),
            Parameter("code", "STRING", "program", "handle", required=True, handles=(CODE,)),
        ),
    ),
)
BY_NAME: Mapping[str, Tool] = {t.name: t for t in TOOLS}


def validate(call: Call) -> ValidCall:
    """Hold a call to its tool: types coerced, ranges checked, defaults filled in.

    Raises
    ------
    ToolError
        For an unknown tool, a missing or malformed argument; every problem is listed.
    """
    tool = BY_NAME.get(call.name)
    if tool is None:
        raise ToolError(f"no tool {call.name!r}; the tools are {', '.join(BY_NAME)}")
    known = {p.name for p in tool.parameters}
    problems: list[str] = []
    arguments: dict[str, Any] = {}
    for p in tool.parameters:
        if call.arguments.get(p.name) is None:
            if p.required:
                problems.append(f"{p.name} is missing ({p.description})")
            elif p.default is not None:
                arguments[p.name] = p.default
            continue
        try:
            arguments[p.name] = coerce(p, call.arguments[p.name])
        except ToolError as e:
            problems.append(str(e))
    if problems:
        raise ToolError(f"{tool.name}: " + "; ".join(problems))
    warnings = tuple(f"{tool.name} has no parameter {k!r}" for k in sorted(call.arguments.keys() - known))
    return ValidCall(tool.name, arguments, warnings)


def coerce(p: Parameter, value: Any) -> str | int | list[str]:
    """One value as the type of its parameter ("3" and 3.0 are an INTEGER, one string is an ARRAY of one).

    Raises
    ------
    ToolError
        Naming the parameter, the value and what it should be.
    """
    if p.kind == "INTEGER":
        return _integer(p, value)
    if p.kind == "ARRAY":
        items = [value] if isinstance(value, str) else value
        if not isinstance(items, list | tuple) or not items or not all(isinstance(v, str) for v in items):
            raise ToolError(f"{p.name}={value!r}: use a list of at least one string")
        return list(items)
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value) if abs(value) < 10**MAX_INTEGER_DIGITS else None
    if not isinstance(value, str) or not value:
        raise ToolError(f"{p.name}: use a non-empty string")
    if p.enum and value not in p.enum:
        raise ToolError(f"{p.name}={value!r}: use one of {', '.join(p.enum)}")
    return value


def _integer(p: Parameter, value: Any) -> int:
    wanted = f"use a whole number from {p.minimum} to {p.maximum}"
    if isinstance(value, str) and len(value) <= MAX_INTEGER_DIGITS and value.strip().isdecimal():
        value = int(value)
    if isinstance(value, float) and math.isfinite(value) and value == int(value):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise ToolError(f"{p.name}={str(value)[:60]!r}: {wanted}")
    low, high = p.minimum, p.maximum
    if (low is not None and value < low) or (high is not None and value > high):
        raise ToolError(f"{p.name} is out of range: {wanted}")
    return value
