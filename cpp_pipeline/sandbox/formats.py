"""Problem sets' own formats: asserts in `test_code`, the function under test, and records made into jobs.

Belongs here: reading texts of HumanEval-X, MultiPL-E and our own format. Not here: judging them (`cases`, `judge`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from cpp_pipeline.sandbox.cpp.declared import CLOSE, OPEN
from cpp_pipeline.sandbox.cpp.definitions import Definition, called, definitions
from cpp_pipeline.sandbox.cpp.lexer import Piece, pieces
from cpp_pipeline.sandbox.types import Job

_CHECK_CHARS = 300
_HUMANEVAL_FIELDS = ("task_id", "prompt", "canonical_solution", "test")
_MULTIPL_E_FIELDS = ("name", "language", "prompt", "tests")
_OWN_FIELDS = ("id", "signature", "tests")
ACCEPTED = (
    f"HumanEval-X C++ ({', '.join(_HUMANEVAL_FIELDS)}), MultiPL-E C++ ({', '.join(_MULTIPL_E_FIELDS)}; language cpp), "
    f"our own ({', '.join(_OWN_FIELDS)})"
)
# HumanEval-X's own harness puts these in front of every program that lacks them.
_HUMANEVAL_HEADERS = (
    *("stdlib.h", "algorithm", "math.h", "stdio.h", "vector", "string", "climits", "cstring", "iostream"),
)


_HARMLESS_DIRECTIVE = re.compile(r"\s*#\s*(?:include\b|undef\s+NDEBUG\b|pragma\s+once\b)")


def assert_sites(test_code: str) -> list[tuple[int, str]]:
    """(line, condition) of every `assert(...)` in textual order.

    Lines count from 1; white space of the condition is squeezed, and it is cut at 300 characters.

    Raises
    ------
    ValueError
        The asserts cannot be counted: one stands in a macro, in another one or under `#if`, or the text cannot be
        read with certainty.
    """
    return [(line, text[:_CHECK_CHARS]) for line, text in _sites(test_code)]


def _sites(test_code: str) -> list[tuple[int, str]]:
    found = pieces(test_code)
    sites: list[tuple[int, str]] = []
    conditions = 0
    inside = 0  # index behind the last assert
    line, seen = 1, 0
    for at, piece in enumerate(found):
        line, seen = line + test_code.count("\n", seen, piece.at), piece.at
        if piece.kind == "directive":
            conditions += _condition(piece, line)
            if at < inside:
                raise ValueError(f"line {line}: a preprocessor line inside an assert")
        elif piece.text == "assert" and [p.text for p in found[at + 1 : at + 2]] == ["("]:
            if conditions or at < inside:
                where = "another assert" if at < inside else "#if"
                raise ValueError(f"line {line}: an assert inside {where} cannot be counted")
            inside = _behind(found, at + 1, line)
            first, last = found[at + 1], found[inside - 1]
            sites.append((line, _squeezed(test_code, found[at + 2 : inside - 1], first.at + 1, last.at)))
    return sites


def straight_sites(test_code: str, preamble: str = "") -> tuple[bool, ...]:
    """For every assert of `assert_sites`, whether it is certain to run at most once.

    Such an assert is a statement of its own in the block of `main` itself. Where the text jumps, or macros may hide
    loops, none is certain.
    """
    found = [p for p in pieces(test_code) if not (p.kind == "directive" and _HARMLESS_DIRECTIVE.match(p.text))]
    texts = [p.text for p in found]
    odd = any(p.kind == "directive" for p in found) or "define" in preamble
    if odd or texts.count("main") != 1 or {"goto", "operator"} & set(texts):
        return (False,) * len(assert_sites(test_code))
    body = texts.index("{", texts.index("main"))
    depth = 0
    sites = []
    for at, text in enumerate(texts):
        if text == "assert" and texts[at + 1 : at + 2] == ["("]:
            sites.append(depth == 1 and at > body and texts[at - 1] in (";", "{", "}"))
        depth += (text in OPEN) - (text in CLOSE)
    return tuple(sites)


def _condition(directive: Piece, line: int) -> int:
    """How a preprocessor line changes the nesting of `#if`."""
    words = re.findall(r"\w+", directive.text)
    if words[:1] in (["define"], ["undef"]) and "assert" in words:
        raise ValueError(f"line {line}: assert in #{words[0]} cannot be counted")
    name = words[0] if words else ""
    return (name in ("if", "ifdef", "ifndef")) - (name == "endif")


def _behind(found: Sequence[Piece], at: int, line: int) -> int:
    depth = 0
    for index in range(at, len(found)):
        depth += (found[index].text == "(") - (found[index].text == ")")
        if depth == 0:
            return index + 1
    raise ValueError(f"line {line}: an assert is never closed")


def _squeezed(code: str, inner: Sequence[Piece], start: int, end: int) -> str:
    """Source text of the pieces with a blank for what lies between two of them."""
    parts: list[str] = []
    for piece in inner:
        gap = code[start : piece.at]
        parts += [" ", piece.text] if gap and parts else [piece.text]
        start = piece.at + len(piece.text)
    return "".join(parts)


def asserts_as_code(conditions: Sequence[str]) -> str:
    """A `main` with one assert a line.

    Raises
    ------
    ValueError
        Naming the condition that is not one expression on its own.
    """
    lines = ["int main() {"]
    for index, condition in enumerate(conditions):
        if not isinstance(condition, str) or not condition.strip():
            raise ValueError(f"test {index}: assert needs a condition, found {str(condition)[:80]!r}")
        try:
            sites = _sites(f"assert({condition}\n)")
        except ValueError as error:
            raise ValueError(f"test {index}: {condition[:80]!r}: {error}") from error
        if len(sites) != 1 or len(pieces(f"{condition}\n")) != len(pieces(f"{sites[0][1]}\n")):
            raise ValueError(f"test {index}: {condition[:80]!r} is not one condition")
        lines.append(f"    assert({sites[0][1]});")
    return "\n".join([*lines, "}", ""])


def entry_prototype(code: str, test_code: str) -> str:
    """Prototype of the function under test: the one that `test_code` calls and `code` defines.

    Raises
    ------
    ValueError
        With the reason when there is no such function, when there are several, or when it is a template.
    """
    wanted = called(test_code) - {d.name for d in definitions(test_code)}
    found = [d for d in definitions(code) if d.name in wanted and d.end is not None]
    if not found:
        raise ValueError("the code defines no function that the tests call; give its prototype")
    if len(found) > 1:
        names = ", ".join(d.name for d in found)
        raise ValueError(f"the code defines several functions that the tests call: {names}; give the prototype")
    if found[0].problem:
        raise ValueError(f"no prototype of {found[0].name}: {found[0].problem}")
    return found[0].prototype


def job_from_record(record: Mapping[str, Any], code: str | None = None, job_id: str = "", **changes: Any) -> Job:
    """A job from an unmodified record of HumanEval-X C++, HumanEvalPack C++, MultiPL-E C++ or our own format.

    Parameters
    ----------
    record : mapping
        One line of the data set, read as JSON.
    code : str, optional
        The completion as the data set means it: the body that continues the prompt, or a text that defines the
        function under test itself. None takes the record's own solution.
    job_id : str
        The record's own name where empty.
    changes
        Further fields of the job, such as `timeout`.

    Raises
    ------
    ValueError
        For an unknown record, one that lacks what its format promises, or one without a solution to take.
    """
    if record.keys() >= set(_HUMANEVAL_FIELDS):
        job = _humaneval(record, code)
    elif record.keys() >= set(_MULTIPL_E_FIELDS) and record["language"] == "cpp":
        job = _multipl_e(record, code)
    elif record.keys() >= set(_OWN_FIELDS):
        job = _own(record, code)
    else:
        raise ValueError(f"a record with the fields {', '.join(sorted(record))}: accepted are {ACCEPTED}")
    return Job(**{**job, **({"id": job_id} if job_id else {}), **changes})


def _humaneval(record: Mapping[str, Any], code: str | None) -> dict[str, Any]:
    prompt = _text(record, "prompt")
    entry = _opened(prompt)
    before = prompt[: entry.start]
    missing = [h for h in _HUMANEVAL_HEADERS if not re.search(rf"#\s*include\s*<{re.escape(h)}>", before)]
    return {
        "id": _text(record, "task_id"),
        "code": _function(prompt, entry, _text(record, "canonical_solution") if code is None else code),
        "prototype": entry.prototype,
        "preamble": "".join(f"#include <{h}>\n" for h in missing) + before,
        "test_code": _text(record, "test"),
    }


def _multipl_e(record: Mapping[str, Any], code: str | None) -> dict[str, Any]:
    if code is None:
        raise ValueError(f"record {record['name']!r} has no solution of its own; give code")
    prompt = _text(record, "prompt")
    entry = _opened(prompt)
    whole = _defines(code, entry.name)
    for stop in () if whole else record.get("stop_tokens", ()):
        code = code.split(stop, 1)[0]
    return {
        "id": _text(record, "name"),
        "code": _function(prompt, entry, code if whole else code + "\n}\n"),
        "prototype": entry.prototype,
        "preamble": prompt[: entry.start],
        "test_code": re.sub(r"\A(\s*)\}", r"\1", _text(record, "tests")),
    }


def _own(record: Mapping[str, Any], code: str | None) -> dict[str, Any]:
    references = record.get("references") or [record.get("reference")]
    solution = references[0] if code is None else code
    if not isinstance(solution, str):
        raise ValueError(f"record {record['id']!r} has no reference; give code")
    return {
        "id": _text(record, "id"),
        "code": solution,
        "prototype": _text(record, "signature"),
        "preamble": record.get("preamble") or "",
        "test_cases": _tests(record["tests"]),
    }


def _tests(tests: Any) -> list[Any]:
    try:
        found = json.loads(tests) if isinstance(tests, str) else tests
    except json.JSONDecodeError as error:
        raise ValueError(f"field tests: no JSON: {error}") from error
    if not isinstance(found, list):
        raise ValueError(f"field tests: expected a list, found {str(found)[:80]!r}")
    return found


def _text(record: Mapping[str, Any], name: str) -> str:
    value = record[name]
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"field {name}: expected text, found {str(value)[:80]!r}")
    return value


def _opened(prompt: str) -> Definition:
    """The function whose body the prompt opens and does not close."""
    found = definitions(prompt)
    if not found or found[-1].end is not None:
        raise ValueError("field prompt: it does not end inside of a function's body")
    if found[-1].problem:
        raise ValueError(f"field prompt: no prototype of {found[-1].name}: {found[-1].problem}")
    return found[-1]


def _defines(code: str, name: str) -> bool:
    try:
        return any(d.name == name for d in definitions(code))
    except ValueError:  # the body of a function closes a brace that it does not open
        return False


def _function(prompt: str, entry: Definition, completion: str) -> str:
    """What the candidate consists of behind the prompt's own declarations."""
    if not _defines(completion, entry.name):
        opening = prompt[entry.start : entry.body + 1]
        said = prompt[entry.body + 1 :]
        return opening + (said if pieces(said) else "\n") + completion
    known = {(d.name, d.prototype) for d in definitions(prompt)[:-1]}
    for repeated in reversed(definitions(completion)):
        if repeated.end is not None and (repeated.name, repeated.prototype) in known:
            completion = completion[: repeated.start] + completion[repeated.end :]
    return completion
