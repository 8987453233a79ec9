"""Problem sets in files: own format and HumanEval-X (C++), both JSON lines.

Belongs here: reading records into problem rows, and the reason for each record that cannot be used.
Does not belong here: judging references (`verify`) and the meaning of asserts (`asserts`).

Own format, one object a line: `id`, `signature`, `doc` and/or `instruction`, `tests` (list of
`{"args": [...], "expected": ...}`), and optionally `reference` or `references`, `preamble`, `licence`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

from cpp_pipeline.problems.asserts import NotConvertible, convert
from cpp_pipeline.problems.rows import Row, chat_instruction, problem_row, quarantine_row
from cpp_pipeline.problems.syntax import function_name, functions, parse, text
from cpp_pipeline.problems.tests import loads_tests
from cpp_pipeline.sandbox.cpp.prototype import Prototype, parse_prototype, parse_signature
from cpp_pipeline.sandbox.formats import assert_sites
from cpp_pipeline.sandbox.judging.values import encode
from cpp_pipeline.schemas import TABLES

NOT_CONVERTIBLE = "asserts not convertible"
_HUMANEVAL_FIELDS = ("task_id", "prompt", "declaration", "canonical_solution", "test")
# The upstream harness puts these in front of every program that lacks them.
_HUMANEVAL_HEADERS = (
    *("stdlib.h", "algorithm", "math.h", "stdio.h", "vector", "string", "climits", "cstring", "iostream"),
)
_STD_NAME = re.compile(r"(?<![\w:])(vector|string|map|set|pair|tuple|optional|deque|unordered_map)\b")


class BadRecord(ValueError):
    """A record that is no problem; says what is missing or wrong."""


def read_problems(path: Path) -> tuple[pl.LazyFrame, pl.LazyFrame]:
    """Rows of a problem set and what was wrong with the rest.

    Returns
    -------
    tuple
        Rows of `eval_problems` form, and rows of `eval_problems_quarantine` form whose `detail` starts with
        `file:line`. A record whose asserts have no JSON form is judged by its `test_code`; one that the sandbox
        cannot judge either is in both: it has no tests and still serves decontamination.
    """
    rows: list[Row] = []
    quarantined: list[Row] = []
    seen: set[str] = set()
    with path.open("rb") as lines:
        for number, raw in enumerate(lines, 1):
            if not raw.strip():
                continue
            where = f"{path.name}:{number}"
            try:
                row, problem = _read_line(raw, where)
                if row["problem_id"] in seen:
                    raise BadRecord(f"{row['problem_id']} occurs more than once")
            except (BadRecord, UnicodeDecodeError, json.JSONDecodeError) as error:
                shown = raw.decode("utf-8", "replace")
                quarantined.append(quarantine_row(where, "broken record", f"{where}: {error}", shown))
                continue
            seen.add(row["problem_id"])
            rows.append(row)
            if problem:
                shown = row["test_code"] or ""
                quarantined.append(quarantine_row(row["problem_id"], NOT_CONVERTIBLE, f"{where}: {problem}", shown))
    return TABLES["eval_problems"].frame(rows), TABLES["eval_problems_quarantine"].frame(quarantined)


def _read_line(raw: bytes, where: str) -> tuple[Row, str]:
    record = json.loads(raw.decode("utf-8"))
    if not isinstance(record, dict):
        raise BadRecord(f"expected a JSON object, found {type(record).__name__}")
    if "canonical_solution" in record:
        return humaneval_row(record, where)
    return own_row(record, where, "user"), ""


def own_row(record: dict[str, Any], where: str, source: str) -> Row:
    """A record of the own format as a problem row; `problem_id` is `<source>/<id>`.

    Raises
    ------
    BadRecord
        Naming the field that is missing or does not fit.
    """
    name, signature = _text(record, "id"), _text(record, "signature")
    doc = record.get("doc") or record.get("instruction")
    if not isinstance(doc, str) or not doc.strip():
        raise BadRecord("field doc (or instruction): expected text")
    prototype = _or_bad_record(lambda: parse_signature(signature))
    tests = record.get("tests")
    tests = _or_bad_record(lambda: loads_tests(tests if isinstance(tests, str) else json.dumps(tests)))
    if not tests:
        raise BadRecord("field tests: at least one test is needed")
    for position, test in enumerate(tests):
        _or_bad_record(lambda t=test, p=position: _check_test(prototype, t, p))  # type: ignore[misc]
    references = record.get("references") or ([record["reference"]] if record.get("reference") else [])
    optional = [record.get(field) or "" for field in ("instruction", "preamble", "licence", "license")]
    if not isinstance(references, list) or not all(isinstance(text, str) for text in [*references, *optional]):
        raise BadRecord("fields references, instruction, preamble, licence: expected text")
    return problem_row(
        problem_id=f"{source}/{name}",
        source=source,
        split_key=f"{source}/{name}",
        doc=doc.strip(),
        instruction=record.get("instruction") or chat_instruction(signature, doc.strip()),
        signature=signature,
        entry_point=prototype.name,
        preamble=record.get("preamble") or "",
        tests=tests,
        references=references,
        licence=record.get("licence") or record.get("license"),
        provenance=where,
    )


def _check_test(prototype: Prototype, test: Row, position: int) -> None:
    if len(test["args"]) != len(prototype.params):
        raise ValueError(f"test {position}: {len(test['args'])} arguments for {len(prototype.params)} parameters")
    for value, (kind, _) in zip(test["args"], prototype.params, strict=True):
        encode(kind, value)
    encode(prototype.return_type, test["expected"])


def _or_bad_record(action: Callable[[], Any]) -> Any:
    try:
        return action()
    except ValueError as error:
        raise BadRecord(str(error)) from error


def _text(record: dict[str, Any], name: str) -> str:
    value = record.get(name)
    if not isinstance(value, str) or not value.strip():
        raise BadRecord(f"field {name}: expected text, found {str(value)[:80]!r}")
    return value.strip()


def humaneval_row(record: dict[str, Any], where: str) -> tuple[Row, str]:
    """A HumanEval-X C++ record as a problem row, and why its asserts have no JSON form ('' when they have).

    The preamble is what the record declares before the function; the reference is the function alone.
    """
    values = {name: _text(record, name) for name in _HUMANEVAL_FIELDS}
    declaration, body = record["declaration"], record["canonical_solution"]
    defined = functions(parse(declaration + body))
    if not defined:
        raise BadRecord("no function in declaration and canonical_solution")
    entry = next((f for f in defined if f.end_byte > len(declaration.encode())), defined[-1])
    block = entry.child_by_field_name("body")
    if block is None:
        raise BadRecord("the last function has no body")
    whole = (declaration + body).encode()
    written = whole[entry.start_byte : block.start_byte].decode().strip()
    signature = re.sub(r"\s+", " ", _STD_NAME.sub(r"std::\1", written))
    before = whole[: entry.start_byte].decode().strip()
    missing = [h for h in _HUMANEVAL_HEADERS if not re.search(rf"#\s*include\s*<{re.escape(h)}>", before)]
    preamble = "".join(f"#include <{h}>\n" for h in missing) + before + "\n"
    tests: list[Row] = []
    asserts, problem = 0, ""
    try:
        tests = convert(record["test"], parse_signature(signature))
    except (NotConvertible, ValueError) as error:
        asserts, problem = _asserts(signature, preamble, record["test"]), str(error)
    doc = _comment(record["prompt"])
    row = problem_row(
        problem_id=f"humaneval_x/{values['task_id']}",
        source="humaneval_x",
        split_key=f"humaneval_x/{values['task_id']}",
        doc=doc,
        signature=signature,
        entry_point=function_name(entry),
        preamble=preamble,
        tests=tests,
        references=[f"{written} {text(block)}\n"],
        test_code=record["test"],
        licence="Apache-2.0",
        provenance=where,
        asserts=asserts,
    )
    return row, "" if asserts else problem


def _asserts(signature: str, preamble: str, test_code: str) -> int:
    """How many asserts the sandbox can judge as they stand; 0 where a type cannot cross its pipe."""
    try:
        parse_prototype(signature, preamble)
        return len(assert_sites(test_code))
    except ValueError:
        return 0


def _comment(prompt: str) -> str:
    block = re.search(r"/\*(.*?)\*/", prompt, re.DOTALL)
    if block is not None:
        return block.group(1).strip()
    lines = re.findall(r"//[ \t]?(.*)", prompt)
    if not lines:
        raise BadRecord("field prompt: no comment")
    return "\n".join(lines).strip()
