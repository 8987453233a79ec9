"""Findings about a piece of C++: the compiler's warnings, and a few rules about performance and style.

Belongs here: rules and the reading of compiler messages. Code is compiled only in a box, and never run.
"""

from __future__ import annotations

import re

from cpp_pipeline.sandbox.compiling.toolchain import Toolchain
from cpp_pipeline.sandbox.types import ANALYSES, Finding

_MESSAGE = re.compile(r"^candidate:(\d+):\d+: (?:fatal )?(warning|error): (.*)$", re.MULTILINE)
_HEAVY = r"(?:std::)?(?:vector|string|map|set|unordered_map|unordered_set|deque)"
_COPIED = rf"[(,]\s*(?:const\s+)?{_HEAVY}(?:<[^()&]*>)?\s+\w+\s*(?=[,)])"
_LOOP = rf"for\s*\(\s*(?:const\s+)?(?:auto|{_HEAVY}(?:<[^()&]*>)?)\s+\w+\s*:"
_PERFORMANCE = (
    (re.compile(_COPIED), "parameter is copied; pass it by const reference"),
    (re.compile(_LOOP), "loop variable may copy each element; use const auto&"),
    (re.compile(r"std::endl"), "std::endl flushes; use '\\n'"),
    (re.compile(r"\bpow\s*\([^,()]+,\s*2(?:\.0)?\s*\)"), "pow(x, 2) is slower than x * x"),
    (re.compile(r"\.size\(\)\s*==\s*0"), "use empty() instead of size() == 0"),
)
_STYLE = (
    (re.compile(r"^\s*using\s+namespace\s+std\s*;", re.MULTILINE), "using namespace std at file scope"),
    (re.compile(r"\bNULL\b"), "use nullptr instead of NULL"),
    (re.compile(r"\(\s*(?:int|long|double|float|char)\s*\)\s*\w"), "C-style cast; use static_cast"),
    (re.compile(r"^\s*#\s*define\s+\w+\s+[\d.]+\s*$", re.MULTILINE), "use constexpr instead of a macro constant"),
    (re.compile(r"\bgoto\b"), "goto"),
    (re.compile(r"^.{121,}$", re.MULTILINE), "line is longer than 120 characters"),
    (re.compile(r"\t"), "tab in indentation"),
)
_BLANKED = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:[^"\\\n]|\\.)*"', re.DOTALL)
_PRELUDE = "".join(
    f"#include <{name}>\n"
    for name in (
        "algorithm",
        "cmath",
        "cstdint",
        "iostream",
        "map",
        "numeric",
        "set",
        "string",
        "unordered_map",
        "vector",
    )
)


def analyse(toolchain: Toolchain, code: str, kind: str, std: str = "c++20") -> list[Finding]:
    """Findings of one kind, sorted by line.

    Parameters
    ----------
    kind : str
        "bugs" (errors and warnings of g++), "performance" or "style" (patterns in the text).

    Raises
    ------
    ValueError
        Unknown kind.
    IsolationError
        No box started.
    """
    if kind not in ANALYSES:
        raise ValueError(f"kind {kind!r}: use one of {', '.join(ANALYSES)}")
    if kind == "bugs":
        # headers come first so that a lone function is not drowned in errors about missing ones
        result = toolchain.diagnostics(f'{_PRELUDE}#line 1 "candidate"\n{code}\n', std)
        found = _MESSAGE.findall(result.stderr.decode("utf-8", "replace"))
        findings = [Finding(int(line), kind, f"{severity}: {text}") for line, severity, text in found]
        if not findings and result.exit_code != 0:
            findings = [Finding(1, kind, "error: the compiler gave up on this code")]
    else:
        text = _BLANKED.sub(_blank, code)
        rules = _PERFORMANCE if kind == "performance" else _STYLE
        findings = [
            Finding(text.count("\n", 0, _start(match)) + 1, kind, message)
            for pattern, message in rules
            for match in pattern.finditer(text)
        ]
    return sorted(set(findings), key=lambda f: (f.line, f.message))


def _blank(match: re.Match[str]) -> str:
    return re.sub(r"[^\n]", " ", match.group())


def _start(match: re.Match[str]) -> int:
    return match.start() + len(match.group()) - len(match.group().lstrip())
