"""HumanEval-X C++ as jobs: canonical solutions, wrong ones made from them, and the same programs for the peer.

Belongs here: reading the records and changing their code, seeded. The records are read where they lie and never copied.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from cpp_pipeline.sandbox.cpp.lexer import Piece, pieces
from cpp_pipeline.sandbox.formats import job_from_record
from cpp_pipeline.sandbox.types import Job

_SWAPS = {
    **{"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "==", "+": "-", "-": "+", "*": "+", "/": "*"},
    **{"&&": "||", "||": "&&", "true": "false", "false": "true", "max": "min", "min": "max", "+=": "-=", "%": "/"},
}
_INCLUDE = re.compile(r"^[ \t]*#[ \t]*include[^\n]*\n", re.MULTILINE)
NEEDED = "give HumanEval-X C++ (JSONL) with --humaneval"
"""What a subject says that was not run without it."""
BITS = "#include<assert.h>\n#include<bits/stdc++.h>\n"
"""How a prompt of MultiPL-E for C++ begins."""


def solutions(path: Path, std: str = "c++17") -> list[Job]:
    """The canonical solutions as jobs, with the record's tests unmodified."""
    with path.open(encoding="utf-8") as lines:
        return [job_from_record(json.loads(line), std=std) for line in lines]


def with_all_headers(job: Job) -> Job:
    """The same job with the includes of MultiPL-E in place of its own."""
    return replace(job, preamble=BITS + _INCLUDE.sub("", job.preamble))


def program(job: Job) -> str:
    """The whole program, whose exit code says whether the asserts hold."""
    return f"{job.preamble}\n{job.code}\n{job.test_code}"


def mutants(code: str, rng: random.Random, accept: Callable[[str], bool] = lambda line: True) -> Iterator[str]:
    """Copies of `code` with one operator, constant or name swapped, in random order; one also returns early.

    `accept` is given the line of a place and says whether it may be changed.
    """
    body = _body(code)
    places = [(p, new) for p in pieces(code) if p.at > body and (new := _swapped(p, rng)) is not None]
    rng.shuffle(places)
    changed = [code[: p.at] + new + code[p.at + len(p.text) :] for p, new in places if accept(_line(code, p.at))]
    changed.insert(rng.randrange(len(changed) + 1), at_the_beginning(code, "if (sizeof(int) == 4) return {};"))
    yield from dict.fromkeys(changed)


def at_the_beginning(code: str, statement: str) -> str:
    """`code` with a statement at the beginning of its last function's body."""
    body = _body(code) + 1
    return f"{code[:body]} {statement} {code[body:]}"


def _body(code: str) -> int:
    """Offset of the brace that opens the last function's body."""
    depth, opened = 0, 0
    for piece in pieces(code):
        if piece.kind == "punct" and piece.text in "{}":
            opened = piece.at if depth == 0 else opened
            depth += 1 if piece.text == "{" else -1
    return opened


def _swapped(piece: Piece, rng: random.Random) -> str | None:
    if piece.kind == "number" and piece.text.isdecimal():
        return str(int(piece.text) + (rng.choice((-1, 1)) if int(piece.text) else 1))
    return _SWAPS.get(piece.text) if piece.kind in ("punct", "name") else None


def _line(code: str, at: int) -> str:
    end = code.find("\n", at)
    return code[code.rfind("\n", 0, at) + 1 : end if end >= 0 else None]
